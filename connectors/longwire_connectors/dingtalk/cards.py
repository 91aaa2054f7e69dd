"""Interactive cards: made from a template, shown in a chat, changed, and grown word by word. Pure.

Shapes: open.dingtalk.com «create and deliver cards», «interactive card update», «AI card streaming update»,
and the SDK's `card_replier.py` and `card_instance.py`. A card is named by its `outTrackId`, which whoever
makes it chooses.
"""

from __future__ import annotations

import msgspec

from longwire_connectors.dingtalk.calls import Request
from longwire_connectors.dingtalk.params import Common, Json, Target, ToGroup, bad, one_of, read, require

STREAM_TEMPLATE = "382e4302-551d-4880-bf29-a30acfab2e71.schema"
"""DingTalk's own template for answers of an AI, open to every app (`card_instance.py` 160)."""
STREAM_ELEMENT = "msgContent"
"""Its variable that grows."""

_WRITING, _FINISHED = "2", "3"
"""`flowStatus` of that template (`card_replier.py`, AICardStatus)."""
_ORDER = '{"order":["msgTitle","msgContent"]}'
_PATH = "/v1.0/card/instances"
_DELIVER_PATH = f"{_PATH}/createAndDeliver"
_STREAM_PATH = "/v1.0/card/streaming"


class NewStream(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A card whose text is going to grow."""

    text: str = ""
    title: str | None = None


class CardData(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """The values of a template's variables."""

    card_param_map: dict[str, str]


class NewCard(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """A card in DingTalk's own form; clicks on it come as `card.action` events."""

    card_template_id: str
    card_data: CardData
    private_data: dict[str, CardData] | None = None
    """By user id: what only that person sees."""


class _Changed(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    card_data: CardData | None = None
    private_data: dict[str, CardData] | None = None


class Stream(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The whole text so far."""

    text: str
    element_id: str = STREAM_ELEMENT
    """The template's variable that grows."""
    final: bool = False


class _Update(Common, forbid_unknown_fields=True, kw_only=True):
    message_id: str
    card: Json | None = None
    stream: Stream | None = None


class Streamed(msgspec.Struct, frozen=True):
    """A text for a card."""

    card: str
    stream: Stream


def card_of(given: Json) -> NewCard:
    """Return a card in DingTalk's own form; `BAD_PARAM` if it is none."""
    try:
        card = msgspec.convert(given, NewCard)
    except msgspec.ValidationError as error:
        raise bad(f"`card`: {error}") from error
    require(card.card_template_id, "card.cardTemplateId")
    return card


def streaming_card(stream: NewStream) -> NewCard:
    """Return the card that shows a text while it is being written."""
    title = {} if stream.title is None else {"msgTitle": stream.title}
    params = {STREAM_ELEMENT: stream.text, **title, "flowStatus": _WRITING, "sys_full_json_obj": _ORDER}
    return NewCard(card_template_id=STREAM_TEMPLATE, card_data=CardData(params))


def deliver(card: NewCard, target: Target, *, track: str, robot_code: str) -> Request:
    """Return the call that makes a card and shows it; `track` is to name it."""
    where: str
    model: Json
    if isinstance(target, ToGroup):
        where = f"IM_GROUP.{target.conversation}"
        model = {"imGroupOpenDeliverModel": {"robotCode": robot_code}}
    else:
        where = f"IM_ROBOT.{target.staff_id}"
        model = {"imRobotOpenDeliverModel": {"spaceType": "IM_ROBOT", "robotCode": robot_code}}
    body: Json = {
        **_known(msgspec.to_builtins(card)),
        "outTrackId": track,
        "callbackType": "STREAM",
        "userIdType": 1,
        "openSpaceId": f"dtv1.card//{where}",
        "imGroupOpenSpaceModel": {"supportForward": True},
        "imRobotOpenSpaceModel": {"supportForward": True},
        **model,
    }
    return Request(_DELIVER_PATH, body)


def read_update(given: Json) -> Request | Streamed:
    """Return the call of `card.update`, or the text to stream.

    Raises:
        CommandError: `BAD_PARAM`, naming the parameter.
    """
    params = read(given, _Update)
    require(params.message_id, "message_id")
    name, value = one_of(card=params.card, stream=params.stream)
    if name == "stream":
        require(value.element_id, "stream.element_id")
        return Streamed(params.message_id, value)
    try:
        changed = msgspec.convert(value, _Changed)
    except msgspec.ValidationError as error:
        raise bad(f"`card`: {error}") from error
    return _put(params.message_id, _known(msgspec.to_builtins(changed)))


def stream_text(streamed: Streamed, *, guid: str) -> Request:
    """Return the call that shows a text; the platform types what is new at its end.

    Args:
        streamed: card and text.
        guid: new for each text; the platform knows a repetition by it.
    """
    stream = streamed.stream
    body = {
        "outTrackId": streamed.card,
        "guid": guid,
        "key": stream.element_id,
        "content": stream.text,
        "isFull": True,
        "isFinalize": stream.final,
        "isError": False,
    }
    return Request(_STREAM_PATH, body, method="PUT")


def finish(streamed: Streamed) -> Request | None:
    """Return the call after which DingTalk's own template does not say any more that it is being written."""
    stream = streamed.stream
    if not stream.final or stream.element_id != STREAM_ELEMENT:
        return None
    params = {STREAM_ELEMENT: stream.text, "flowStatus": _FINISHED, "sys_full_json_obj": _ORDER}
    return _put(streamed.card, {"cardData": {"cardParamMap": params}})


def _put(card: str, changed: Json) -> Request:
    """Return the call that changes these variables of a card and leaves the others."""
    options = {"updateCardDataByKey": True, "updatePrivateDataByKey": True}
    body = {"outTrackId": card, "userIdType": 1, **changed, "cardUpdateOptions": options}
    return Request(_PATH, body, method="PUT")


def _known(fields: Json) -> Json:
    return {name: value for name, value in fields.items() if value is not None}
