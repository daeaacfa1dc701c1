{% autoescape off %}// Requires Java 17 or newer and no libraries. Run it with: java CutOut.java
import java.io.ByteArrayOutputStream;
import java.net.URI;
import java.net.http.*;
import java.nio.file.*;
import java.util.Base64;

class CutOut {
    public static void main(String[] arguments) throws Exception {
        var boundary = "cut-out-" + System.nanoTime();
        var body = new ByteArrayOutputStream();
        body.write(("--" + boundary + "\r\nContent-Disposition: form-data; name=\"image\"; "
            + "filename=\"photo.jpg\"\r\n\r\n").getBytes());
        body.write(Files.readAllBytes(Path.of("photo.jpg")));
        body.write(("\r\n--" + boundary + "--\r\n").getBytes());

        var key = Base64.getEncoder().encodeToString("{{ credentials.api_id }}:{{ credentials.api_secret }}".getBytes());
        var request = HttpRequest.newBuilder(URI.create("{{ url }}"))
            .header("Authorization", "Basic " + key)
            .header("Content-Type", "multipart/form-data; boundary=" + boundary)
            .POST(HttpRequest.BodyPublishers.ofByteArray(body.toByteArray()))
            .build();
        var response = HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.ofByteArray());

        if (response.statusCode() != 200) {
            throw new RuntimeException(response.statusCode() + ": " + new String(response.body()));
        }
        Files.write(Path.of("cutout.png"), response.body());
        System.out.println("Charged: " + response.headers().firstValue("X-Credits-Charged").orElse("?"));
    }
}
{% endautoescape %}
