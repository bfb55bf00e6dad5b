"""Typed results: one versioned document for each command, written by its measurement and read by report.

A measurement returns a `Result`; `to_dict` is its document as results.json holds it, field for field and in the same
order; `save` writes it, and `read_result` reads it back. Readers use typed attributes. Fields only grow: what a model
does not name passes as it is, and what earlier versions did not write has a default.
"""

import os
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, PrivateAttr

from depthcue import documents, files
from depthcue.documents import Loose, Name, Words
from depthcue.errors import DepthcueError

SCHEMA = files.SCHEMA
FILE = "results.json"
_AGAIN = "Give results.json as the command wrote it."


class Result(Loose):
    """The document of one command; the base of all."""

    COMMAND: ClassVar[str] = ""
    schema_version: Literal[1] = Field(alias="schema")
    command: Name
    arguments: list[Words] = Field(default=[])
    revision: Name = ""
    machine: dict[str, Any] = Field(default={})

    _content: dict[str, Any] = PrivateAttr(default_factory=dict)
    _pictures: "Path | TemporaryDirectory[str] | None" = PrivateAttr(default=None)

    @classmethod
    def made(cls, pictures: "Path | TemporaryDirectory[str] | None" = None, **fields: Any) -> Self:
        """The result of a measurement that has just been made: `fields` after those that every document has.

        Args:
            pictures: the folder to which the document's paths of pictures are relative; a temporary one lives as long
                as the result.
        """
        return cls.from_dict(files.document(cls.COMMAND, **fields), pictures)

    @classmethod
    def from_dict(cls, content: dict[str, Any], pictures: "Path | TemporaryDirectory[str] | None" = None) -> Self:
        """A result from its document.

        Raises:
            documents.Malformed: a field is missing, of another type or out of range.
        """
        result = documents.validated(content, cls)
        result._content, result._pictures = content, pictures
        return result

    def to_dict(self) -> dict[str, Any]:
        """The document as results.json and `--json` have it."""
        return self._content

    def __getitem__(self, name: str) -> Any:
        """A part of the document by its name in results.json: `result["curves"]["mask"]`."""
        return self._content[name]

    @property
    def folder(self) -> Path | None:
        """Where the pictures lie that the document names; None where none were left."""
        return self._pictures if self._pictures is None or isinstance(self._pictures, Path) \
            else Path(self._pictures.name)

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write the document to FOLDER/results.json, and the pictures beside it where they lie elsewhere.

        Returns:
            The file.

        Raises:
            DepthcueError: the folder cannot be written.
        """
        out, source = files.make_folder(folder), self.folder
        if source is not None and source.resolve() != out.resolve():
            try:
                shutil.copytree(source, out, dirs_exist_ok=True, ignore=shutil.ignore_patterns(FILE))
            except OSError as error:
                raise DepthcueError(f"{out} cannot be written: {error}", "Choose another folder.") from error
        files.write_json(out / FILE, self._content)
        return out / FILE


RESULTS: dict[str, type[Result]] = {}
"""The class of each command's document."""


def result_of(content: dict[str, Any], pictures: Path | None = None) -> Result:
    """The result that a document holds, in the class of its command; the base class for a command without one.

    Raises:
        documents.Malformed: a field is missing, of another type or out of range.
    """
    return RESULTS.get(str(content.get("command")), Result).from_dict(content, pictures)


def read_result(path: str | os.PathLike[str], command: str | None = None) -> Result:
    """The result in a results.json, or in the folder that holds one.

    Args:
        command: whose result is expected, where it matters.

    Raises:
        DepthcueError: no such file, no results document, one of another schema or of another command, or one that lacks
            a field.
    """
    file = Path(path)
    file = file / FILE if file.is_dir() else file
    try:
        content = documents.read_document(file, "a results document", documents.Results,
                                          "Give a results.json that a depthcue command wrote.",
                                          documents.RESULTS_BYTES)
    except FileNotFoundError:
        raise DepthcueError(f"there is no {file}", "Give a results.json, or the folder it is in.") from None
    if content.get("schema") != SCHEMA:
        raise DepthcueError(f"{file} has schema {content.get('schema')}, this depthcue reads {SCHEMA}",
                            "Measure again, or use the version that wrote it.")
    found = content["command"]
    if command is not None and found != command:
        raise DepthcueError(f"{file} comes from depthcue {found}, not {command}",
                            f"Give what depthcue {command} wrote.")
    try:
        return result_of(content, file.parent)
    except documents.Malformed as error:
        raise DepthcueError(f"{file} is not a whole document of depthcue {found}: {error}", _AGAIN) from None
