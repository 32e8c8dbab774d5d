"""The Tab key: `completion.suggest` behind prompt_toolkit. Runs in the client's REPL, on its event loop."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Iterable, Iterator

from prompt_toolkit.buffer import Buffer
from prompt_toolkit.completion import CompleteEvent, Completer, Completion, get_common_complete_suffix
from prompt_toolkit.document import Document

from tessenger.client.completion import Known, suggest, wants_names
from tessenger.client.people import People
from tessenger.client.session import Chat
from tessenger.client.steady_keys import logged


class ChatCompleter(Completer):
    """What could stand at the cursor, with names that are asked for when they are needed."""

    def __init__(self, chat: Chat, people: People) -> None:
        self._chat = chat
        self._people = people

    def has_to_ask(self, document: Document) -> bool:
        """Tell whether names could stand at the cursor that are not fresh."""
        return self._people.stale and wants_names(document.text_before_cursor, talking=self._talking)

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterator[Completion]:
        """Suggest from what is known."""
        offers = [str(t.number) for t in self._chat.transfers if not t.ended]
        names = self._people.names
        known = Known(self._people.others, names.groups, offers, list(self._chat.conversation.recent)[::-1])
        for suggestion in suggest(document.text_before_cursor, known, list_directory, talking=self._talking):
            yield Completion(
                suggestion.text, -suggestion.replaced, display=suggestion.shown, display_meta=suggestion.about
            )

    async def get_completions_async(
        self, document: Document, complete_event: CompleteEvent
    ) -> AsyncGenerator[Completion, None]:
        """Ask for names first, where they could stand and are not fresh."""
        with logged("names could not be completed"):
            if self.has_to_ask(document):
                await self._people.refresh()
            for completion in self.get_completions(document, complete_event):
                yield completion

    @property
    def _talking(self) -> bool:
        return bool(self._chat.conversation.name)


def list_directory(folder: str) -> Iterable[tuple[str, bool]]:
    """Return what is in a directory; nothing where it cannot be read."""
    try:
        with os.scandir(os.path.expanduser(folder) or ".") as entries:  # noqa: PTH111 - no `Path`: speed in large folders
            return [(entry.name, entry.is_dir()) for entry in entries]
    except (OSError, ValueError):  # the latter for what can be no path
        return []


def complete(buffer: Buffer, completer: ChatCompleter) -> None:
    """Carry Tab out at once wherever that is possible, so that an Enter typed right behind it finds the whole word."""
    if buffer.complete_state:
        buffer.complete_next()
    elif completer.has_to_ask(buffer.document):
        buffer.start_completion(insert_common_part=True)
    else:
        completions = list(completer.get_completions(buffer.document, CompleteEvent(completion_requested=True)))
        if len(completions) == 1:
            buffer.apply_completion(completions[0])
        elif completions:
            buffer.insert_text(get_common_complete_suffix(buffer.document, completions))
            buffer.start_completion()
