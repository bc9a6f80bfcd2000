"""What a request to fetch ahead asks for."""

from __future__ import annotations

from attrs import evolve

from aimirror.admin import prefetch_lists as lists
from aimirror.admin import prefetch_locks
from aimirror.admin.inputs import Words
from aimirror.admin.prefetch import Order
from aimirror.admin.prefetch_lists import MOST_ITEMS, BadList, Interpreter, Items


def order_of(words: Words) -> tuple[Order, str]:
    """What to fetch ahead, and its short description."""
    interpreter = Interpreter(words.text("python"), words.text("platform"))
    plain = Order(
        interpreter=interpreter,
        index=words.text("index") or "/simple",
        dependencies=bool(words.flag("dependencies")),
    )
    if text := words.text("huggingface"):
        repository = lists.repository(text)
        include, exclude = words.texts("include"), words.texts("exclude")
        return evolve(plain, repository=repository, include=include, exclude=exclude), text
    if text := words.text("image"):
        return evolve(plain, image=lists.image(text)), text
    items, what = _items(words, interpreter)
    return evolve(plain, items=items), what


def _items(words: Words, interpreter: Interpreter) -> tuple[Items, str]:
    if text := words.text("requirements"):
        items = lists.requirements(text)
        return items, f"{len(items.projects)} requirements"
    if text := words.text("lock"):
        name = words.text("lock_name")
        items = prefetch_locks.items(name, text, interpreter)
        count = len(items.urls) + len(items.projects)
        return items, f"{count} files of {name.rpartition('/')[2]}"
    if text := words.text("uv_lock"):
        items = lists.uv_lock(text, interpreter)
        return items, f"{len(items.urls)} files of a uv.lock"
    if text := words.text("package_lock"):
        items = lists.package_lock(text)
        return items, f"{len(items.urls)} packages of a package-lock.json"
    if urls := words.texts("urls"):
        return Items(urls=urls[:MOST_ITEMS]), f"{len(urls)} URLs"
    raise BadList("say what: urls, requirements, lock, uv_lock, package_lock, huggingface or image")
