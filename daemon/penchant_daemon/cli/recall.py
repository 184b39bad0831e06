"""`penchant recall`: ask what is remembered."""

from __future__ import annotations

import shutil
import textwrap

import click
from pydantic import ValidationError

from penchant_daemon.capture.echo import wrap
from penchant_daemon.cli.output import emit, fail, is_terminal, open_client
from penchant_daemon.cli.remember import project_argument
from penchant_daemon.wire import HELD_BACK, MAX_LIMIT, Reason, RecallRequest, RecallResponse, RecallResult

MAX_LINES = 12  # of one result's text; --json has all of it
MIN_WIDTH = 40
MAX_WIDTH = 100


@click.command()
@click.argument("query")
@click.option(
    "-k", "--limit", type=click.IntRange(1, MAX_LIMIT), default=10, show_default=True, help="Most results."
)
@click.option("--project", metavar="NAME", help="Only this project (a name or a path) and what is global.")
@click.option("--as-of", metavar="DATE", help="What was known and valid then, such as 2026-11-20.")
@click.option(
    "--budget", type=click.IntRange(1), metavar="N", help="Most tokens that the results may have together."
)
@click.option("--all", "everything", is_flag=True, help="The nearest too, however irrelevant.")
@click.option(
    "--min-relevance",
    type=click.FloatRange(0.0, 1.0),
    metavar="P",
    help="Only results that answer the question with this probability.",
)
@click.option("--explain", is_flag=True, help="Say why each result is there.")
@click.option("--json", "as_json", is_flag=True, help="As JSON, the body of POST /v1/recall.")
def command(
    query: str,
    limit: int,
    project: str | None,
    as_of: str | None,
    budget: int | None,
    everything: bool,
    min_relevance: float | None,
    explain: bool,
    as_json: bool,
) -> int:
    """Ask what is remembered about QUERY, best first."""
    try:
        request = RecallRequest(
            query=query,
            limit=limit,
            project=None if project is None else project_argument(project),
            as_of=as_of,
            budget_tokens=budget,
            min_relevance=0.0 if everything else min_relevance,
            explain=explain,
        )
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        option = {"as_of": "--as-of", "query": "QUERY", "project": "--project"}.get(
            str(first["loc"][0]), "the request"
        )
        fail(f"{option}: {first['msg']}")
    with open_client() as client:
        response = client.recall(request)
    for warning in response.warnings:
        # Of what is held back the answer itself says how to see it.
        if as_json or not warning.startswith(HELD_BACK):
            click.echo(f"penchant: {warning}", err=True)
    if as_json:
        emit(response)
    elif not response.results:
        emit(_nothing(response))
    elif is_terminal():
        emit(text_of(response, min(MAX_WIDTH, shutil.get_terminal_size().columns)))
    else:
        # A program reads along, often an assistant: the marks keep this from being captured as something new.
        emit(wrap(text_of(response, MAX_WIDTH), response.impression_id))
    return 0


def text_of(response: RecallResponse, width: int) -> str:
    """The results as text for people: rank, date, session and origin in one line, the text under it."""
    width = max(width, MIN_WIDTH)
    blocks = [_block(rank, result, width) for rank, result in enumerate(response.results, 1)]
    ids = f"impression {response.impression_id}, {response.took_ms:.1f} ms"
    if response.held_back:
        ids += f"; {response.held_back} less relevant not shown (--all shows them)"
    return "\n\n".join([*blocks, ids])


def _block(rank: int, result: RecallResult, width: int) -> str:
    number = f"{rank}."
    indent = " " * 4
    head = f"{number:<4}{_head(result)}"
    lines = [textwrap.shorten(head, width * 2, placeholder="…"), *_wrapped(result.content, width, indent)]
    lines.append(f"{indent}{result.id}  relevance {result.relevance:.0%}  score {result.score:.3f}")
    if result.also:
        lines.append(textwrap.fill(_also(result), width, initial_indent=indent, subsequent_indent=indent))
    reasons = [f"{reason.contribution:+.3f}  {_reason(reason)}" for reason in result.reasons or ()]
    reasons += [f"against {text}" for text in result.against or ()]
    lines += [
        textwrap.fill(text, width, initial_indent=indent + "  ", subsequent_indent=indent + " " * 10)
        for text in reasons
    ]
    return "\n".join(lines)


def _reason(reason: Reason) -> str:
    if reason.rank_without is None:
        return reason.text
    return f"{reason.text} (without it, rank {reason.rank_without})"


def _also(result: RecallResult) -> str:
    """Where else the same was said: agent and date of each."""
    return "also: " + ", ".join(f"{same.agent} {same.occurred_at[:10]} ({same.id})" for same in result.also)


def _nothing(response: RecallResponse) -> str:
    if not response.held_back:
        return "nothing is remembered about this"
    return f"nothing relevant is remembered (best match {response.relevance:.0%}; --all shows it)"


def _head(result: RecallResult) -> str:
    """Date, session title and provenance: whose words, of which project, by which agent."""
    parts = [result.occurred_at[:16].replace("T", " ")]
    if result.session_title:
        parts.append(f"“{result.session_title}”")
    kind = (
        f"{result.speaker or result.role or result.origin} said"
        if result.source == "episode"
        else result.kind
    )
    parts.append(kind)
    if result.project:
        parts.append(result.project.rstrip("/").rsplit("/", 1)[-1])
    parts.append(f"{result.agent}, from {result.origin}")
    return " · ".join(parts)


def _wrapped(text: str, width: int, indent: str) -> list[str]:
    lines: list[str] = []
    for paragraph in text.splitlines() or [""]:
        lines += textwrap.wrap(
            paragraph.expandtabs(4),
            width,
            initial_indent=indent,
            subsequent_indent=indent,
            replace_whitespace=False,
        ) or [""]
        if len(lines) > MAX_LINES:
            break
    if len(lines) > MAX_LINES:
        lines = [*lines[: MAX_LINES - 1], f"{indent}… ({len(text):,} characters; --json has all)"]
    return lines
