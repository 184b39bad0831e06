"""`penchant status`: what runs, what is stored, what is wrong."""

from __future__ import annotations

import click

from penchant_daemon import lifecycle
from penchant_daemon.cli.output import emit, open_client
from penchant_daemon.home import home_dir
from penchant_daemon.wire import StatusOut

EXIT_NOT_RUNNING = 3  # as `systemctl status` answers


@click.command()
@click.option("--json", "as_json", is_flag=True, help="As JSON, the body of GET /v1/status.")
def command(as_json: bool) -> int:
    """Show what runs, what is stored and what is wrong; exit code 3 when nothing runs."""
    home = home_dir()
    if lifecycle.owner(home) is None:
        emit(
            {"running": False, "home": str(home)}
            if as_json
            else f"not running, {home}\n  penchant up starts it"
        )
        return EXIT_NOT_RUNNING
    with open_client(autostart=False) as client:
        status = client.status()
    emit(status if as_json else text_of(status))
    return 0


def text_of(status: StatusOut) -> str:
    """The status as lines for people."""
    counts = status.counts
    rows = [
        ("penchant", f"{status.version}, pid {status.pid}, up {_duration(status.uptime_s)}"),
        ("home", status.home),
        ("socket", status.socket + (f" and 127.0.0.1:{status.tcp_port}" if status.tcp_port else "")),
        (
            "stored",
            f"{counts.events:,} events, {counts.memories:,} memories, {counts.episodes:,} episodes, "
            f"{counts.sessions:,} sessions, {counts.projects:,} projects, {counts.agents:,} agents",
        ),
        ("index", _index(status)),
    ]
    rows += [(_words(part), _model(status, part)) for part in status.models]
    rows += [("jobs", f"{kind}: {_jobs(status, kind)}") for kind in status.jobs]
    places = ", ".join(status.watch.places) or "no places"
    rows.append(("watch", f"on: {places}" if status.watch.enabled else "off"))
    rows += [(_words(name), f"{x.used:,.0f} of {x.cap:,.0f} {x.unit}") for name, x in status.limits.items()]
    rows += [(name, state) for name, state in status.mounts.items()]
    if status.masked:
        rows.append(("masked", ", ".join(f"{n} {kind}" for kind, n in status.masked.items())))
    width = max(len(name) for name, _ in rows)
    lines = [f"{name:<{width}}  {text}" for name, text in rows]
    for problem in status.problems:
        lines.append(f"! {problem.part}: {problem.message}")
        if problem.fix:
            lines.append(f"    {problem.fix}")
    return "\n".join(lines)


def _index(status: StatusOut) -> str:
    index = status.index
    detail = f" ({index.detail})" if index.detail else ""
    return f"{index.state}, {index.done:,} of {index.total:,} by {index.model or 'words alone'}{detail}"


def _model(status: StatusOut, part: str) -> str:
    model = status.models[part]
    return f"{model.name or 'none'}, {model.state}" + (f": {model.detail}" if model.detail else "")


def _jobs(status: StatusOut, kind: str) -> str:
    jobs = status.jobs[kind]
    return f"{jobs.queued} queued, {jobs.running} running, {jobs.failed} failed"


def _words(name: str) -> str:
    return name.replace("_", " ")


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
