{% autoescape off %}<?php
$curl = curl_init("{{ url }}");
curl_setopt_array($curl, [
    CURLOPT_USERPWD => "{{ credentials.api_id }}:{{ credentials.api_secret }}",
    CURLOPT_POSTFIELDS => ["image" => new CURLFile("photo.jpg")],
    CURLOPT_RETURNTRANSFER => true,
    CURLOPT_TIMEOUT => 200, // wait at least 180 seconds before giving up
]);
$body = curl_exec($curl);
if ($body === false) {
    fwrite(STDERR, curl_error($curl) . PHP_EOL);
    exit(1);
}

if (curl_getinfo($curl, CURLINFO_RESPONSE_CODE) !== 200) {
    $error = json_decode($body)->error;
    fwrite(STDERR, "{$error->status}/{$error->code}: {$error->message}" . PHP_EOL);
    exit(1);
}
file_put_contents("cutout.png", $body);
{% endautoescape %}
