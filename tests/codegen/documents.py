"""Documents to generate from: one method by hand, and any document that hypothesis makes up."""

from __future__ import annotations

from hypothesis import strategies as st

TEXT = {"type": "string"}

KEYS = st.one_of(
    st.sampled_from(
        ["text", "_id", "class", "list", "str", "self", "content-type", "__x", "", "None", "Any", "ﬁ", '"']
    ),
    st.text(max_size=6),
)
LITERALS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.just([1]))
REFS = st.sampled_from(
    [*(f"#/components/schemas/{name}" for name in "AB"), "#/components/schemas/c%20d", "x.json", "#"]
)
SCALARS = st.sampled_from(
    [
        TEXT,
        {"type": "string", "x-lunora-table": "users"},
        {"type": "string", "x-lunora-table": "user-s"},
        {"type": "string", "format": "int64"},
        {"type": "string", "contentEncoding": "base64"},
        {"type": "number"},
        {"type": "null"},
        {"type": ["integer", "null"]},
        {"type": "frobnicate"},
        {"x-lunora-rx-type": "datetime"},
        {"x-lunora-rx-type": ["datetime"]},
        {"not": TEXT},
        {},
        True,
        False,
    ]
)


def _described(schemas):
    return st.tuples(schemas, st.none() | st.text(max_size=8)).map(
        lambda pair: pair[0] if pair[1] is None or isinstance(pair[0], bool) else {**pair[0], "description": pair[1]}
    )


def _wider(schemas):
    fields = st.dictionaries(KEYS, schemas, max_size=4)
    return _described(
        st.one_of(
            st.builds(lambda items: {"type": "array", "items": items}, schemas),
            st.builds(lambda value: {"type": "object", "additionalProperties": value}, schemas),
            st.builds(
                lambda properties, required: {"type": "object", "properties": properties, "required": sorted(required)},
                fields,
                st.sets(KEYS, max_size=3),
            ),
            st.builds(lambda word, of: {word: of}, st.sampled_from(["anyOf", "oneOf", "allOf"]), st.lists(schemas)),
        )
    )


SCHEMAS = st.recursive(
    st.one_of(
        _described(SCALARS),
        st.builds(lambda value: {"const": value}, LITERALS),
        st.builds(lambda values: {"enum": values}, st.lists(LITERALS, max_size=3)),
        st.builds(lambda ref: {"$ref": ref}, REFS),
    ),
    _wider,
    max_leaves=6,
)
OBJECTS = st.builds(
    lambda properties, required: {"type": "object", "properties": properties, "required": sorted(required)},
    st.dictionaries(KEYS, SCHEMAS, max_size=4),
    st.sets(KEYS, max_size=3),
)
PARTS = st.sampled_from(["users", "getURL", "import", "list", "_x", "Ünï", "v2", "消息", "str", "any"])
NAMES = st.builds(
    lambda spaces, function: f"{'/'.join(spaces)}:{function}", st.lists(PARTS, min_size=1, max_size=2), PARTS
)


def method(name="messages:list", *, kind="query", args=None, result=None, **more):
    """Return a method of a document."""
    schema = {"type": "object", "properties": {}} if args is None else args
    return {
        "name": name,
        "x-lunora-function-kind": kind,
        "params": [{"name": "args", "required": True, "schema": schema}],
        "result": {"name": "result", "schema": {} if result is None else result},
        **more,
    }


def document(*methods, **schemas):
    """Return a document of these methods and components."""
    return {"openrpc": "1.3.2", "methods": [*methods], "components": {"schemas": schemas}}


def an_object(*required, **properties):
    """Return the schema of an object."""
    return {"type": "object", "properties": properties, "required": [*required]}


METHODS = st.builds(
    lambda name, kind, args, result, text, codes: method(
        name,
        kind=kind,
        args=args,
        result=result,
        description=text,
        errors=[{"code": -32000, "message": "", "data": {"code": code}} for code in codes],
    ),
    NAMES,
    st.sampled_from(["query", "mutation", "action", "other"]),
    OBJECTS,
    SCHEMAS,
    st.text(max_size=20),
    st.lists(st.text(max_size=4), max_size=2),
)
DOCUMENTS = st.builds(
    lambda title, methods, a, b, c: {
        "openrpc": "1.3.2",
        "info": {"title": title},
        "methods": methods,
        "components": {"schemas": {"A": a, "B": b, "c d": c}},
    },
    st.text(max_size=8),
    st.lists(METHODS, min_size=1, max_size=4, unique_by=lambda each: each["name"]),
    SCHEMAS,
    SCHEMAS,
    SCHEMAS,
)
