{% autoescape off %}# pip install requests
import sys

import requests

with open("photo.jpg", "rb") as photo:
    answer = requests.post(
        "{{ url }}",
        auth=("{{ credentials.api_id }}", "{{ credentials.api_secret }}"),
        files={"image": photo},
        timeout=200,
    )

if answer.status_code != 200:
    error = answer.json()["error"]
    sys.exit(f"{error['status']}/{error['code']}: {error['message']}")

with open("cutout.png", "wb") as file:
    file.write(answer.content)
print("Charged:", answer.headers["X-Credits-Charged"])
{% endautoescape %}
