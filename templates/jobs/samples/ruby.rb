{% autoescape off %}require "json"
require "net/http"

address = URI("{{ url }}")
request = Net::HTTP::Post.new(address)
request.basic_auth("{{ credentials.api_id }}", "{{ credentials.api_secret }}")
File.open("photo.jpg", "rb") do |photo|
  request.set_form([["image", photo]], "multipart/form-data")
  secure = address.scheme == "https"
  answer = Net::HTTP.start(address.host, address.port, use_ssl: secure, read_timeout: 200) do |http|
    http.request(request)
  end

  if answer.code == "200"
    File.binwrite("cutout.png", answer.body)
    puts "Charged: #{answer["X-Credits-Charged"]}"
  else
    error = JSON.parse(answer.body)["error"]
    abort "#{error["status"]}/#{error["code"]}: #{error["message"]}"
  end
end
{% endautoescape %}
