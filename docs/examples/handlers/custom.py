"""A handler: answers /custom/hello by itself and /custom/version by asking an upstream."""

import json

from aimirror.handlers import Response


async def exec_path(request, full_path, config, http_client):
    """(True, response) answers; (False, None) leaves the request to the rule."""
    if full_path == "/custom/hello":
        name = request.query_params.get("name", "world")
        return True, Response(content=f"hello {name}", headers={"X-Handler": "custom"})
    if full_path == "/custom/version":
        upstream = next(r["upstream"] for r in config["rules"] if r["name"] == "custom-handler")
        answer = await http_client.get(f"{upstream}/version.json")
        answer.raise_for_status()
        content = json.dumps({"version": answer.json()["version"]})
        return True, Response(content=content, media_type="application/json")
    if full_path == "/custom/echo" and request.method == "POST":
        return True, Response(content=await request.body(), status_code=201)
    return False, None
