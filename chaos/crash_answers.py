"""What the upstream answers to the calls for one picture, one answer a call; after the last all goes well."""

from chaos.upstream import Step

ANSWERS: dict[str, list[Step]] = {
    "ok": ["ok"],
    "free": ["free"],
    "429, then ok": ["slow_down_bare", "ok"],
    "429, then lost": ["slow_down_bare", "reset_after_upload_charged"],
    "429 of no charge, then lost": [
        {"fault": "slow_down_bare", "header": "0.000000"},
        "reset_after_upload_charged",
    ],
    "401, then ok": ["suspended", "ok"],
    "500 as a page": ["server_html"],
    "500 to the end": ["server_error", "overloaded", "server_html"],
    "504, charged": ["gateway_charged"],
    "charged, then 500": ["error_charged"],
    "400/1006": ["unreadable"],
    "body cut": ["cut_body"],
    "body reset": ["reset_body"],
    "not a picture": ["not_a_picture"],
    "reset": ["reset_after_upload"],
    "reset, charged": ["reset_after_upload_charged"],
    "hung up, charged": ["hang_up_charged"],
    "no charge header": ["no_charge_header"],
    "unreadable charge": ["unreadable_charge"],
    "overage": [{"fault": "above_hold", "factor": 7}],
}
