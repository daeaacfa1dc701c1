{% autoescape off %}<?php
$call = curl_init("{{ url }}");
curl_setopt_array($call, [
    CURLOPT_USERPWD => "{{ credentials.api_id }}:{{ credentials.api_secret }}",
    CURLOPT_POSTFIELDS => ["image" => new CURLFile("photo.jpg")],
    CURLOPT_RETURNTRANSFER => true,
    CURLOPT_TIMEOUT => 200,
]);
$body = curl_exec($call);
if ($body === false) {
    fwrite(STDERR, curl_error($call) . PHP_EOL);
    exit(1);
}

if (curl_getinfo($call, CURLINFO_RESPONSE_CODE) !== 200) {
    $error = json_decode($body)->error;
    fwrite(STDERR, "{$error->status}/{$error->code}: {$error->message}" . PHP_EOL);
    exit(1);
}
file_put_contents("cutout.png", $body);
{% endautoescape %}
