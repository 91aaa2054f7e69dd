"""A bot as dingtalk-stream's documents show it: `dingtalk_bot.py APP [SECRET]`, the platform's address in the
environment; one line for each call of its handlers."""

import sys

import dingtalk_stream
from dingtalk_stream import AckMessage


class Robot(dingtalk_stream.ChatbotHandler):
    """Tells of each message."""

    async def process(self, callback: dingtalk_stream.CallbackMessage) -> tuple[int, str]:
        """Tell of one message."""
        message = dingtalk_stream.ChatbotMessage.from_dict(callback.data)
        print(f"handled {message.message_id}", flush=True)  # noqa: T201
        return AckMessage.STATUS_OK, "OK"


class Events(dingtalk_stream.EventHandler):
    """Tells of each event."""

    async def process(self, event: dingtalk_stream.EventMessage) -> tuple[int, str]:
        """Tell of one event."""
        print(f"handled {event.headers.event_id}", flush=True)  # noqa: T201
        return AckMessage.STATUS_OK, "OK"


def main() -> None:
    """Run until something ends it."""
    app, secret = sys.argv[1], (*sys.argv, f"secret-of-{sys.argv[1]}")[2]
    client = dingtalk_stream.DingTalkStreamClient(dingtalk_stream.Credential(app, secret))
    client.register_callback_handler(dingtalk_stream.ChatbotMessage.TOPIC, Robot())
    client.register_all_event_handler(Events())
    client.start_forever()


main()
