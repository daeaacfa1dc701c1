{% autoescape off %}# Requires no gems.
require "json"
require "net/http"

uri = URI("{{ url }}")
request = Net::HTTP::Post.new(uri)
request.basic_auth("{{ credentials.api_id }}", "{{ credentials.api_secret }}")
File.open("photo.jpg", "rb") do |photo|
  request.set_form([["image", photo]], "multipart/form-data")
  secure = uri.scheme == "https"
  response = Net::HTTP.start(uri.host, uri.port, use_ssl: secure, read_timeout: 200) do |http|
    http.request(request)
  end

  if response.code == "200"
    File.binwrite("cutout.png", response.body)
    puts "Charged: #{response["X-Credits-Charged"]}"
  else
    error = JSON.parse(response.body)["error"]
    abort "#{error["status"]}/#{error["code"]}: #{error["message"]}"
  end
end
{% endautoescape %}
