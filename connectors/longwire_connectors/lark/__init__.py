"""The connector for Lark and Feishu: the official SDK's WebSocket client, driven one connection at a time.

Here belong the declaration (`connector`), the way into the SDK (`sdk`, `client`), one attempt to connect
(`session`, `liveness`, `parts`, `inflight`, `errors`), what comes in (`normalise`, by way of `messages`,
`notices`, `content`, `richtext`, `people`, `payload`) and what goes out (`outgoing`, `openapi`, `identity`).
When to try again is the parent's decision, and neither backoff nor reconnecting belongs here. Only `client`
and `session` may import the SDK, and only after `sdk.load`.
"""
