"""Aliases: what developers shorten, so that a question finds the long form by the short one, and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .text import STOP_WORDS, stem, stem_hash, words

#: Short forms and what they stand for; several long forms where several are meant. All of one line say the same.
TABLE = """
k8s = kubernetes
pg = postgres = postgresql = psql
ts = typescript
js = javascript
py = python
repo = repository
db = database
env = environment
config = configuration = cfg = conf
auth = authentication
authz = authorization
admin = administrator
app = application
ci = continuous integration
cd = continuous deployment = continuous delivery
pr = pull request
mr = merge request
e2e = end-to-end
i18n = internationalization = internationalisation
l10n = localization = localisation
a11y = accessibility
docs = documentation
deps = dependencies
dep = dependency
dev = development
prod = production
perf = performance
infra = infrastructure
msg = message
param = parameter
args = arguments
arg = argument
func = function = fn
var = variable
lib = library
pkg = package
spec = specification
impl = implementation
async = asynchronous
sync = synchronization
regex = regular expression
tf = terraform
gha = github actions
gh = github
vm = virtual machine
lb = load balancer
mq = message queue
ui = user interface
api = application programming interface
cli = command line
ide = integrated development environment
llm = large language model
ml = machine learning
ram = memory
vscode = visual studio code
srv = server
svc = service
addr = address
creds = credentials
password = pwd
cert = certificate
tmp = temporary
stg = staging
qa = quality assurance
"""


@dataclass(frozen=True, slots=True)
class Alias:
    """Another way to say some terms of a query.

    :param terms: which of the query's stems it stands for.
    :param hashes: of its own stems; a text that holds all of them says it.
    :param words: the same as words to look up.
    """

    terms: tuple[int, ...]
    hashes: tuple[int, ...]
    words: tuple[str, ...]


def _entries() -> dict[tuple[str, ...], list[tuple[str, ...]]]:
    """For each form (as words) the other forms of its line."""
    found: dict[tuple[str, ...], list[tuple[str, ...]]] = {}
    for line in TABLE.strip().splitlines():
        forms = [
            tuple(dict.fromkeys(w for w in words(form) if w not in STOP_WORDS)) for form in line.split(" = ")
        ]
        forms = [form for form in forms if form]
        for form in forms:
            found.setdefault(form, []).extend(other for other in forms if other != form)
    return found


#: By the stems of a form: its other forms, as words.
_FORMS = {tuple(stem(w) for w in form): others for form, others in _entries().items()}
_LONGEST = max(len(form) for form in _FORMS)
#: By its first stem, to look up fast.
_BY_FIRST: dict[str, list[tuple[str, ...]]] = {}
for _form in _FORMS:
    _BY_FIRST.setdefault(_form[0], []).append(_form)


def aliases(stems: Sequence[str]) -> tuple[Alias, ...]:
    """The other ways to say what a query's stems say.

    :param stems: distinct, as in `Query.stems`.

    >>> [alias.words for alias in aliases(("k8", "region"))], [alias.words for alias in aliases(("kubernet",))]
    ([('kubernetes',)], [('k8s',)])
    >>> [(alias.terms, alias.words) for alias in aliases(("open", "pull", "request"))]
    [((1, 2), ('pr',))]
    """
    place = {s: i for i, s in enumerate(stems)}
    found = []
    for first in stems:
        for form in _BY_FIRST.get(first, ()):
            if all(part in place for part in form):
                terms = tuple(place[part] for part in form)
                found += [
                    Alias(terms, tuple(stem_hash(stem(w)) for w in other), other) for other in _FORMS[form]
                ]
    return tuple(found)
