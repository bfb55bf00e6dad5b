"""`depthcue doctor`: what this machine can run, what is missing and how to get it."""

import typer

from depthcue.cli.console import configure, print_json, print_table, say
from depthcue.cli.options import JsonOption


def doctor(as_json: JsonOption = False) -> None:
    """Say what this machine can run, what is missing and how to get it. Exits with 1 if masking would not work."""
    from depthcue.runtime.doctor import examine

    configure(quiet=False, verbose=False)
    document = examine()
    if as_json:
        print_json(document)
    else:
        rows = [[each["what"], each["status"], each["detail"]] for each in document["findings"]]
        print_table("depthcue doctor", ["what", "", "found"], rows)
        for each in document["findings"]:
            if each["status"] != "ok" and each["remedy"]:
                say(f"{each['what']}: {each['remedy']}")
        say("Masking pictures and videos works here." if document["able"] else "Masking does not work here.")
    if not document["able"]:
        raise typer.Exit(1)
