#!/usr/bin/env python3
"""Brings an AWS target group to a rendered register-targets.json: registers what is in it, deregisters the rest.

    apply: {command: [/etc/lbgen/aws-targets/sync.py, /var/lib/lbgen/aws/register-targets.json]}

Needs the AWS CLI and the rights elasticloadbalancing:DescribeTargetHealth, RegisterTargets and DeregisterTargets.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

Target = tuple[str, int]


def main() -> None:
    """Do it; an AWS CLI that fails ends this with its exit status, and lbgen tries again."""
    wanted = json.loads(Path(sys.argv[1]).read_text())
    group = wanted["TargetGroupArn"]
    targets = {(target["Id"], target["Port"]) for target in wanted["Targets"]}
    found = aws("describe-target-health", {"TargetGroupArn": group})["TargetHealthDescriptions"]
    states = {(each["Target"]["Id"], each["Target"]["Port"]): each["TargetHealth"]["State"] for each in found}
    registered = {target for target, state in states.items() if state != "draining"}
    change("register-targets", group, targets - registered)
    change("deregister-targets", group, registered - targets)


def change(what: str, group: str, targets: set[Target]) -> None:
    """Register or deregister targets, if there are any."""
    if targets:
        listed = [{"Id": address, "Port": port} for address, port in sorted(targets)]
        aws(what, {"TargetGroupArn": group, "Targets": listed})


def aws(what: str, request: dict[str, Any]) -> Any:
    """Call the AWS CLI; return its answer."""
    words = ["aws", "elbv2", what, "--output", "json", "--cli-input-json", json.dumps(request)]
    done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        sys.exit(done.returncode)
    return json.loads(done.stdout or "{}")


if __name__ == "__main__":
    main()
