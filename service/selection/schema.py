"""The JSON schema of rules files, for editors: ``python -m service.selection.schema``."""

import json

from service.selection.rules import Rules


def schema() -> str:
    """Return the schema as text."""
    document = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "EnTrust Serve selection rules",
        **{k: v for k, v in Rules.model_json_schema().items() if k != "title"},
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    print(schema(), end="")
