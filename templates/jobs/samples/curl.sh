{% autoescape off %}# If the call fails, curl saves the error message in cutout.png: the last line prints and removes it.
curl --fail-with-body {{ url }} \
  -u {{ credentials.api_id }}:{{ credentials.api_secret }} \
  -F image=@photo.jpg \
  -o cutout.png \
  || { cat cutout.png; rm -f cutout.png; false; }
{% endautoescape %}
