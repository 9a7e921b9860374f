"""The commands of `inferq models` that change which versions serve: reload, promote, rollback, rollout."""

from contextlib import suppress
from typing import Annotated, Any

import typer

from inferq.cli.output import AsJson, Url, open_client, print_json, print_line, print_table
from inferq.errors import InvalidInputError

_NOT_FOLLOWED = 4
"""The exit code of other commands, too, for a time to wait that was up."""

Name = Annotated[str, typer.Argument(metavar="NAME", help="The model.", show_default=False)]
Wait = Annotated[
    float | None,
    typer.Option(min=0, help="Longest wait for the workers, s; by default as long as the service allows."),
]


def show(name: Name, as_json: AsJson = False, url: Url = None) -> None:
    """Show the versions of a model: which serves, and which get a share of the jobs."""
    with open_client(url) as client:
        found = client.model_versions(name)
    if as_json:
        print_json(found)
        return
    columns = ("version", "serves", "share", "shadow", "workers", "digest", "problem")
    rows = (
        (
            one["version"],
            "yes" if one["is_serving"] else "",
            f"{one['share']:.0%}" if one["share"] else "",
            f"{one['shadow']:.0%}" if one["shadow"] else "",
            one["workers"],
            (one["digest"] or "")[:12],
            one["reason"],
        )
        for one in found["versions"]
    )
    print_table(columns, rows)


def reload(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="Tell of this model alone.", show_default=False)
    ] = None,
    wait: Wait = None,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Let all workers read the model repository again, and wait until they have.

    Exit codes: 0 done, 1 a model or version cannot be served, 3 there is no such model, 4 not all workers
    have followed in time.
    """
    with open_client(url) as client:
        found = client.reload_models(name, wait=wait)
    if as_json:
        print_json(found)
    elif found["versions"]:
        print_table(
            ("model", "versions"), ((model, ", ".join(all_)) for model, all_ in found["versions"].items())
        )
    for left_out, reason in found["unavailable"].items():
        print_line(f"inferq: {left_out} is not served: {reason}", err=True)
    _report_missing(found)
    if found["unavailable"]:
        raise typer.Exit(1)


def promote(
    name: Name,
    version: Annotated[str, typer.Argument(metavar="VERSION", help="The version that is to serve.")],
    wait: Wait = None,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Make a version the one that serves, and end the other shares that it has.

    Exit codes: 0 done, 1 refused, 3 no such model or version, 4 not all workers have followed in time.
    """
    with open_client(url) as client:
        _print_change(client.promote(name, version, wait=wait), as_json=as_json)


def rollback(name: Name, wait: Wait = None, as_json: AsJson = False, url: Url = None) -> None:
    """Make the version serve that did before.

    Exit codes: 0 done, 1 refused, 3 there is no such model, 4 not all workers have followed in time.
    """
    with open_client(url) as client:
        _print_change(client.rollback(name, wait=wait), as_json=as_json)


def rollout(
    name: Name,
    serve: Annotated[
        str | None, typer.Option(metavar="VERSION", help="The version of jobs that name none.")
    ] = None,
    share: Annotated[
        list[str] | None,
        typer.Option(
            metavar="VERSION=SHARE", help="So much of these jobs, 0 to 1, runs on this one instead."
        ),
    ] = None,
    shadow: Annotated[
        list[str] | None,
        typer.Option(metavar="VERSION=SHARE", help="So much of them runs on this one too, to be compared."),
    ] = None,
    tolerance: Annotated[
        float | None, typer.Option(min=0, help="How much values of a shadow may differ and still agree.")
    ] = None,
    clear: Annotated[bool, typer.Option("--clear", help="Forget it: model.toml holds again.")] = False,
    wait: Wait = None,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Show which versions of a model take which jobs; with options, change that. A share of 0 ends it.

    Exit codes: 0 done, 1 refused, 3 no such model or version, 4 not all workers have followed in time.
    """
    changes: dict[str, Any] = {
        "serve": serve,
        "shares": read_shares(share),
        "shadow": read_shares(shadow),
        "tolerance": tolerance,
    }
    changes = {key: value for key, value in changes.items() if value is not None}
    if clear and changes:
        raise InvalidInputError("--clear goes alone.")
    with open_client(url) as client:
        if clear:
            _print_change(client.delete_rollout(name, wait=wait), as_json=as_json)
        elif changes:
            present = client.rollout(name)
            _print_change(
                client.set_rollout(name, **merge_rollout(present, changes), wait=wait), as_json=as_json
            )
        else:
            found = client.rollout(name)
            print_json(found) if as_json else _print_rollout(found)


def read_shares(texts: list[str] | None) -> dict[str, float] | None:
    """Returns shares by version; None where no option names any.

    Raises:
        InvalidInputError: One is not VERSION=SHARE.
    """
    if texts is None:
        return None
    shares = {}
    for text in texts:
        version, _, share = text.partition("=")
        with suppress(ValueError):
            shares[version] = float(share)
        if not version or not 0 <= shares.get(version, -1) <= 1:
            raise InvalidInputError(f"{text!r} is no share. Expected VERSION=SHARE, such as 2=0.1.")
    return shares


def merge_rollout(present: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Returns a rollout with changes; version by version, where they are of shares."""
    rollout = present["rollout"] or present["applied"] or {}
    merged = {key: rollout[key] for key in ("serve", "shares", "shadow", "tolerance") if key in rollout}
    for key in ("shares", "shadow"):
        shares = merged.get(key, {}) | changes.pop(key, {})
        merged[key] = {version: share for version, share in shares.items() if share}
    return merged | changes


def _print_change(change: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(change)
    else:
        _print_rollout(change)
    _report_missing(change)


def _print_rollout(found: dict[str, Any]) -> None:
    name, serving, rollout = found["model"], found["serving"], found["rollout"] or found["applied"] or {}
    print_line(f"{name}: version {serving} serves, of {', '.join(found['versions'])}.")
    if rollout.get("serve") not in (None, serving):
        is_there = rollout["serve"] in found["versions"]
        why = "the workers have not followed yet" if is_there else "no worker has it"
        print_line(f"Version {rollout['serve']} is to serve, but {why}.")
    elif rollout.get("previous"):
        print_line(f"Before, version {rollout['previous']} served: inferq models rollback {name}")
    for version, share in rollout.get("shares", {}).items():
        print_line(f"{share * 100:.3g}% of its jobs run on version {version} instead.")
    for version, share in rollout.get("shadow", {}).items():
        print_line(
            f"{share * 100:.3g}% of its jobs run on version {version} too: inferq models shadow {name}"
        )


def _report_missing(found: dict[str, Any]) -> None:
    if found["missing"]:
        names = ", ".join(found["missing"])
        print_line(f"inferq: not followed yet by {names}: see its log, or wait.", err=True)
        raise typer.Exit(_NOT_FOLLOWED)
