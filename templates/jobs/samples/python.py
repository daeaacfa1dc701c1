{% autoescape off %}# Requires the package requests: pip install requests
import sys

import requests

with open("photo.jpg", "rb") as photo:
    response = requests.post(
        "{{ url }}",
        auth=("{{ credentials.api_id }}", "{{ credentials.api_secret }}"),
        files={"image": photo},
        timeout=200,  # wait at least 180 seconds before giving up
    )

if response.status_code != 200:
    error = response.json()["error"]
    sys.exit(f"{error['status']}/{error['code']}: {error['message']}")

with open("cutout.png", "wb") as file:
    file.write(response.content)
print("Charged:", response.headers["X-Credits-Charged"])
{% endautoescape %}
