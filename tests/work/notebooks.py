"""Run cells in a real kernel, which a cell can have interrupted as the button does."""

from __future__ import annotations

import asyncio
from typing import Any

import nbformat
from nbclient import NotebookClient


class Interrupter(NotebookClient):
    """Interrupt the kernel, as the button does, when a cell says that it is ready."""

    def process_message(self, msg: dict[str, Any], cell: Any, cell_index: int) -> Any:
        if msg["msg_type"] == "stream" and "ready" in msg["content"]["text"]:
            self.interrupt = asyncio.ensure_future(self.km.interrupt_kernel())  # type: ignore[attr-defined]
        return super().process_message(msg, cell, cell_index)


def run(*cells: str) -> list[list[Any]]:
    """Run the cells in one kernel, errors or not, and return the outputs of each."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    Interrupter(notebook, kernel_name="python3", allow_errors=True, timeout=60).execute()
    return [cell["outputs"] for cell in notebook["cells"]]


def text(outputs: list[Any], stream: str = "stdout") -> str:
    return "".join(output["text"] for output in outputs if output.get("name") == stream)


def errors(outputs: list[Any]) -> list[str]:
    return [output["ename"] for output in outputs if output["output_type"] == "error"]
