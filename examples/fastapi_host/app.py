"""A FastAPI host with two tenants: it embeds a supervisor, keeps their secrets, and answers their messages.

    pip install "longwire[all]" fastapi uvicorn
    longwire simulate --port 7790 &
    uvicorn --app-dir examples/fastapi_host app:app --port 8000

Then `curl 127.0.0.1:8000/health`. Each tenant sees its own accounts only. What accounts there are is the
host's business: it keeps the whole set, and hands it over at its start and after each change.
"""

import asyncio
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, HTTPException, Request
from pydantic import BaseModel

from longwire import CommandError, ConfigError, Supervisor

PLATFORM = os.environ.get("PLATFORM", "http://127.0.0.1:7790")
DATA_DIR = os.environ.get("DATA_DIR", "var-fastapi-host")

VAULT = {"acme/lark": "acme-secret-1", "beta/dingtalk": "beta-secret-2"}
"""In the place of yours."""

TENANTS: dict[str, dict[str, dict[str, Any]]] = {
    "acme": {
        "acme-lark": {
            "connector": "lark",
            "app_id": "cli_fedcba9876543210",
            "app_secret": "vault:acme/lark",
            "domain": PLATFORM,
        }
    },
    "beta": {
        "beta-ding": {
            "connector": "dingtalk",
            "client_id": "dingbeta",
            "client_secret": "vault:beta/dingtalk",
            "api_base": PLATFORM,
        }
    },
}


def ask_the_vault(name: str) -> str:
    """May block: it runs on a thread of its own."""
    return VAULT[name]


def wanted() -> dict[str, Any]:
    """Return the accounts of all tenants, each marked with whose it is."""
    return {
        name: {**table, "tenant": tenant}
        for tenant, accounts in TENANTS.items()
        for name, table in accounts.items()
    }


async def answer(supervisor: Supervisor, tenant: str) -> None:
    """Say back what the tenant's bots hear; what was not acknowledged comes again after a restart."""
    client = supervisor.client()
    async for event in client.subscribe(f"host-{tenant}", tenant=tenant, types=["message.created"]):
        try:
            await client.reply(event, text=f"{tenant} heard: {event.text}")
        except CommandError as error:
            if error.retryable:
                await event.nack(delay_s=2)
                continue
            print(f"{event.account}: no reply: {error}", flush=True)
        await event.ack()


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
    """Run the supervisor as long as the server runs; a blocked request holds up none of its accounts."""
    config = {"supervisor": {"data_dir": DATA_DIR}, "accounts": wanted()}
    async with (
        Supervisor(config, secrets={"vault": ask_the_vault}) as supervisor,
        asyncio.TaskGroup() as tasks,
    ):
        app.state.supervisor = supervisor
        bots = [tasks.create_task(answer(supervisor, tenant), name=tenant) for tenant in TENANTS]
        yield
        for bot in bots:
            bot.cancel()


app = FastAPI(lifespan=lifespan)


class Message(BaseModel):
    account: str
    chat: str
    text: str


@app.get("/health")
async def health(request: Request) -> dict[str, Any]:
    """Whether every account is online, and what is wrong with the others."""
    found = await request.app.state.supervisor.converged(timeout_s=0)
    behind = {name: [s.state, s.reason, s.user_action] for name, s in found.behind.items()}
    return {"is_converged": found.is_converged, "behind": behind}


@app.get("/tenants/{tenant}/accounts")
async def accounts(request: Request, tenant: str) -> list[dict[str, Any]]:
    """The tenant's accounts as `longwire status --json` has them."""
    listed: list[dict[str, Any]] = await request.app.state.supervisor.call("account.list", tenant=tenant)
    return listed


@app.put("/tenants/{tenant}/accounts")
async def replace(request: Request, tenant: str, tables: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Have these accounts of the tenant and no others; whoever is the same goes on untouched."""
    if tenant not in TENANTS:
        raise HTTPException(404, "no such tenant")
    before, TENANTS[tenant] = TENANTS[tenant], tables
    try:
        applied = await request.app.state.supervisor.apply(wanted())
    except ConfigError as error:
        TENANTS[tenant] = before
        raise HTTPException(422, [str(problem) for problem in error.problems]) from error
    return {"added": applied.added, "changed": applied.changed, "removed": applied.removed}


@app.post("/tenants/{tenant}/messages")
async def send(request: Request, tenant: str, message: Message) -> Any:
    """Send a text by an account of the tenant; another tenant's is unknown to it."""
    params = {"chat": message.chat, "text": message.text}
    try:
        return await request.app.state.supervisor.call(
            "message.create", params, account=message.account, tenant=tenant
        )
    except CommandError as error:
        raise HTTPException(503 if error.retryable else 400, error.message) from error
