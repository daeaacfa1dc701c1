{% autoescape off %}using System;
using System.IO;
using System.Net.Http;
using System.Net.Http.Headers;
using System.Text;
using System.Threading.Tasks;

class CutOut
{
    static void Main()
    {
        CutOutAsync().GetAwaiter().GetResult();
    }

    static async Task CutOutAsync()
    {
        var key = Convert.ToBase64String(Encoding.ASCII.GetBytes("{{ credentials.api_id }}:{{ credentials.api_secret }}"));
        using (var client = new HttpClient())
        using (var form = new MultipartFormDataContent())
        {
            client.Timeout = TimeSpan.FromSeconds(200); // wait at least 180 seconds before giving up
            client.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Basic", key);
            form.Add(new ByteArrayContent(File.ReadAllBytes("photo.jpg")), "image", "photo.jpg");

            var response = await client.PostAsync("{{ url }}", form);
            var body = await response.Content.ReadAsByteArrayAsync();
            if (!response.IsSuccessStatusCode)
                throw new Exception((int)response.StatusCode + ": " + Encoding.UTF8.GetString(body));
            File.WriteAllBytes("cutout.png", body);
        }
    }
}
{% endautoescape %}
