"""What goes into the bundle of a call: no secret does."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import yaml

from pbx.app.circumstances import configuration_text, explanation
from pbx.loading import load_configured

SECRETS = ("wonderland-1", "trunk-secret-2", "token-secret-3", "hep-secret-4", "pg-secret-5")
TEXT = f"""
sip: {{listen: "udp://127.0.0.1:5060", hep: {{collector: "udp://homer:9060", key: {SECRETS[3]}}}}}
extensions: {{"101": {{name: Alice, password: {SECRETS[0]}}}}}
trunks: {{carrier: {{address: "sip:192.0.2.1", username: we, password: {SECRETS[1]}}}}}
http: {{token: {SECRETS[2]}}}
storage: {{directory: data, database: "postgresql://pbx:{SECRETS[4]}@db/pbx"}}
dialplan: plan.yaml
"""
PLAN = """
routes:
  - {name: out, when: {from: extension, number: "0Z."}, do: [{dial: trunk/carrier}]}
  - {name: rest, when: {from: extension, number: "."}, do: [{reject: busy}]}
"""


def test_configuration_and_decision_without_secrets(tmp_path: Path) -> None:
    path = tmp_path / "pbx.yaml"
    path.write_text(TEXT)
    (tmp_path / "plan.yaml").write_text(PLAN)
    configured = load_configured(path, {})
    text = configuration_text(configured.settings)
    assert not [secret for secret in SECRETS if secret in text]
    found = yaml.safe_load(text)
    assert found["extensions"]["101"] == {"name": "Alice", "password": "(hidden)"}
    assert found["trunks"]["carrier"]["address"] == "sip:192.0.2.1"
    assert found["sip"]["listen"] == [{"uri": "udp://127.0.0.1:5060"}]
    assert "media" not in found  # it has its defaults
    told = explanation(configured.dialplan, "extension/101", "9", datetime(2026, 1, 1, tzinfo=UTC), "101", "Alice")
    assert [line[:6] for line in told.splitlines() if line[:2] in ("- ", "+ ")] == ["- out ", "+ rest"]
    assert "reject the caller: busy" in told
