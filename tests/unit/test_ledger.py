"""What counts in the ledger of deployments, in whatever order its authors get to write."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import hypothesis.strategies as st
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, rule

from modelship.core.errors import BadInput
from modelship.deployment.ledger import BEGINNINGS, Action, Entry, Refusal, State, fold

LEASE = 600


class Book:
    """A ledger as a server keeps it: it numbers and dates what it is given, whatever that is."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.now = 1_000_000

    @property
    def state(self) -> State:
        return fold(self.entries)

    def append(self, entry: Entry) -> Refusal | None:
        number = len(self.entries) + 1
        self.entries.append(msgspec.structs.replace(entry, number=number, at=self.now))
        self.now += 1
        return self.state.refused.get(number)

    def begin(self, environment: str, version: int, key: str, action: Action = Action.DEPLOY, **more: Any) -> Entry:
        """The entry that an author writes who looks now."""
        expects = self.state.environment(environment).newest
        return Entry(environment=environment, action=action, version=version, key=key, expects=expects, lease=LEASE, **more)

    def deploy(self, environment: str, version: int, action: Action = Action.DEPLOY, **more: Any) -> None:
        """A whole deployment that nobody disturbs."""
        assert self.append(self.begin(environment, version, f"run {len(self.entries)}", action, **more)) is None
        assert self.append(self.begun(environment).ended(Action.GOOD)) is None

    def begun(self, environment: str) -> Entry:
        entry = self.state.environment(environment).in_progress
        assert entry is not None
        return entry


@pytest.fixture
def book() -> Book:
    return Book()


def versions(entries: Iterable[Entry]) -> list[int]:
    return [entry.version for entry in entries]


# One environment ---------------------------------------------------------------------------------------------------------------------


def test_nothing_is_live_in_an_empty_ledger() -> None:
    state = fold([])
    assert (state.environment("staging").live, state.champion, state.champion_version(), state.aliases()) == (None, None, 0, {})


def test_a_version_is_live_once_it_was_found_good(book: Book) -> None:
    book.append(book.begin("staging", 3, "a"))
    assert book.state.environment("staging").live is None
    assert book.append(book.begun("staging").ended(Action.GOOD, "smoke test passed")) is None
    staging = book.state.environment("staging")
    assert staging.live == book.entries[-1]
    assert staging.in_progress is None
    assert book.state.aliases() == {"staging": 3}


def test_what_failed_leaves_live_what_was(book: Book) -> None:
    book.deploy("staging", 3)
    book.append(book.begin("staging", 4, "b"))
    assert book.append(book.begun("staging").ended(Action.FAILED)) is None
    staging = book.state.environment("staging")
    assert (versions(staging.good), staging.in_progress) == ([3], None)


def test_of_two_that_saw_the_same_the_first_to_write_counts(book: Book) -> None:
    one, two = book.begin("staging", 1, "a"), book.begin("staging", 2, "b")
    assert [book.append(two), book.append(one)] == [None, Refusal.STALE]
    assert book.begun("staging").key == "b"


def test_nobody_begins_while_a_lease_runs_and_anybody_may_afterwards(book: Book) -> None:
    book.append(book.begin("staging", 1, "a"))
    first = book.begun("staging")
    book.now = first.lease_over_at - 1
    assert book.append(book.begin("staging", 2, "b")) is Refusal.BUSY
    assert book.now == first.lease_over_at
    assert book.append(book.begin("staging", 2, "b")) is None
    assert book.append(first.ended(Action.GOOD)) is Refusal.STALE, "it was overtaken"
    assert book.append(book.begun("staging").ended(Action.GOOD)) is None
    assert versions(book.state.environment("staging").good) == [2]


def test_a_deployment_that_is_late_but_was_not_overtaken_ends_well(book: Book) -> None:
    book.append(book.begin("staging", 1, "a"))
    book.now += 1000 * LEASE
    assert book.append(book.begun("staging").ended(Action.GOOD)) is None


def test_a_killed_deployment_goes_on_under_its_key_with_a_new_lease(book: Book) -> None:
    book.append(book.begin("staging", 1, "a"))
    book.now += 500_000
    assert book.append(book.begin("staging", 1, "a")) is None
    book.now += 500_000
    assert book.append(book.begin("staging", 2, "b")) is Refusal.BUSY
    assert book.append(book.begun("staging").ended(Action.GOOD)) is None


@pytest.mark.parametrize(("version", "action"), [(2, Action.DEPLOY), (1, Action.ROLLBACK)])
def test_a_key_does_not_go_on_with_another_deployment(book: Book, version: int, action: Action) -> None:
    book.append(book.begin("staging", 1, "a"))
    assert book.append(book.begin("staging", version, "a", action)) is Refusal.BUSY


def test_a_key_ends_well_once_and_may_try_again_after_a_failure(book: Book) -> None:
    book.append(book.begin("staging", 1, "a"))
    book.append(book.begun("staging").ended(Action.FAILED))
    assert book.append(book.begin("staging", 1, "a")) is None
    book.append(book.begun("staging").ended(Action.GOOD))
    book.deploy("staging", 2)
    assert book.append(book.begin("staging", 1, "a")) is Refusal.DONE
    assert book.append(book.begin("production", 1, "a")) is None, "one workflow run deploys to both"


@pytest.mark.parametrize("change", [{"key": "b"}, {"version": 2}, {"replaces": 0}])
def test_only_the_deployment_in_progress_ends(book: Book, change: dict[str, Any]) -> None:
    book.append(book.begin("staging", 1, "a"))
    ended = book.begun("staging").ended(Action.GOOD)
    assert book.append(msgspec.structs.replace(ended, **change)) is Refusal.NOT_BEGUN
    assert book.append(ended) is None
    again = msgspec.structs.replace(ended, expects=book.state.environment("staging").newest)
    assert book.append(again) is Refusal.NOT_BEGUN


def test_environments_do_not_wait_for_each_other(book: Book) -> None:
    book.append(book.begin("staging", 1, "a"))
    assert book.append(book.begin("production", 1, "b")) is None


# Back --------------------------------------------------------------------------------------------------------------------------------


def test_a_rollback_brings_the_previous_good_version_back_step_by_step(book: Book) -> None:
    for version in (1, 2, 3, 3):
        book.deploy("staging", version)
    assert versions(book.state.environment("staging").good) == [1, 2, 3]
    for left in ([1, 2], [1]):
        previous = book.state.environment("staging").previous_good
        assert previous is not None
        book.deploy("staging", previous.version, Action.ROLLBACK)
        assert versions(book.state.environment("staging").good) == left
    assert book.state.environment("staging").live == book.entries[-1]
    assert book.state.environment("staging").previous_good is None


def test_a_rollback_may_go_further_or_elsewhere(book: Book) -> None:
    for version in (1, 2, 1, 3, 4):
        book.deploy("staging", version)
    book.deploy("staging", 1, Action.ROLLBACK)
    assert versions(book.state.environment("staging").good) == [1, 2, 1], "no further than it must"
    book.deploy("staging", 9, Action.ROLLBACK)
    assert versions(book.state.environment("staging").good) == [1, 2, 9]


def test_a_rollback_that_fails_changes_nothing(book: Book) -> None:
    book.deploy("staging", 1)
    book.deploy("staging", 2)
    book.append(book.begin("staging", 1, "back", Action.ROLLBACK))
    book.append(book.begun("staging").ended(Action.FAILED))
    assert versions(book.state.environment("staging").good) == [1, 2]


# Order and champion ------------------------------------------------------------------------------------------------------------------


def test_a_version_goes_where_it_was_good_before(book: Book) -> None:
    assert book.append(book.begin("production", 1, "a", after="staging")) is Refusal.NOT_GOOD_BEFORE
    book.append(book.begin("staging", 1, "b"))
    assert book.append(book.begin("production", 1, "a", after="staging")) is Refusal.NOT_GOOD_BEFORE
    book.append(book.begun("staging").ended(Action.GOOD))
    book.deploy("staging", 2)
    assert book.append(book.begin("production", 1, "a", after="staging")) is None, "it was not rolled back"


def test_a_version_that_was_rolled_back_goes_nowhere(book: Book) -> None:
    book.deploy("staging", 1)
    book.deploy("staging", 2)
    draft = book.begin("production", 2, "a", after="staging")
    book.deploy("staging", 1, Action.ROLLBACK)
    assert book.append(draft) is Refusal.NOT_GOOD_BEFORE


def test_a_deployment_that_began_ends_as_it_did_whatever_happened_before_it(book: Book) -> None:
    book.deploy("staging", 1)
    book.deploy("staging", 2)
    book.append(book.begin("production", 2, "a", after="staging"))
    book.deploy("staging", 1, Action.ROLLBACK)
    assert book.append(book.begun("production").ended(Action.GOOD)) is None


def test_the_champion_is_what_was_judged_against_the_one_before(book: Book) -> None:
    book.deploy("production", 1, replaces=0)
    assert book.append(book.begin("production", 2, "a", replaces=0)) is Refusal.CHAMPION_MOVED
    book.deploy("production", 2, replaces=1)
    assert book.state.champion == book.entries[-1]
    assert book.state.aliases() == {"production": 2, "champion": 2}
    book.deploy("production", 1, Action.ROLLBACK, replaces=2)
    assert book.state.aliases() == {"production": 1, "champion": 1}


def test_a_champion_that_changes_during_a_deployment_ends_it(book: Book) -> None:
    book.append(book.begin("europe", 1, "a", replaces=0))
    book.append(book.begin("america", 2, "b", replaces=0))
    assert book.append(book.begun("america").ended(Action.GOOD)) is None
    assert book.append(book.begun("europe").ended(Action.GOOD)) is Refusal.CHAMPION_MOVED
    assert book.append(book.begun("europe").ended(Action.FAILED)) is None
    assert book.state.champion_version() == 2
    assert book.state.environment("europe").live is None


def test_other_environments_leave_the_champion_alone(book: Book) -> None:
    book.deploy("production", 1, replaces=0)
    book.deploy("staging", 2)
    assert book.state.champion_version() == 1


# Damage ------------------------------------------------------------------------------------------------------------------------------


def test_a_deleted_entry_that_others_build_on_is_noticed(book: Book) -> None:
    book.deploy("staging", 1)
    with pytest.raises(BadInput, match=r"entry 2 .* builds on entry 1, which is gone"):
        fold(book.entries[1:])


def test_an_entry_cannot_build_on_what_comes_later(book: Book) -> None:
    with pytest.raises(BadInput, match="which is gone"):
        book.append(msgspec.structs.replace(book.begin("staging", 1, "a"), expects=1))


@pytest.mark.parametrize("action", Action)
def test_beginnings_and_nothing_else_have_a_lease(action: Action) -> None:
    with pytest.raises(ValueError, match="lease"):
        Entry(environment="a", action=action, version=1, key="k", expects=0, lease=0 if action in BEGINNINGS else 1)


# Any interleaving --------------------------------------------------------------------------------------------------------------------

ENVIRONMENTS = st.sampled_from(["staging", "production"])


class Authors(RuleBasedStateMachine):
    """Authors that look, write later or never, write twice, are killed, and come back; a network that holds requests back."""

    drafts: Bundle[Entry] = Bundle("drafts")
    sent: Bundle[Entry] = Bundle("sent")

    @initialize()
    def start(self) -> None:
        self.book = Book()

    @rule(
        target=drafts,
        environment=ENVIRONMENTS,
        action=st.sampled_from(sorted(BEGINNINGS)),
        version=st.integers(1, 3),
        key=st.sampled_from("abcd"),
    )
    def looks_and_wants_to_begin(self, environment: str, action: Action, version: int, key: str) -> Entry:
        if environment == "staging":
            return self.book.begin(environment, version, key, action)
        after = "staging" if action is Action.DEPLOY else ""
        return self.book.begin(environment, version, key, action, after=after, replaces=self.book.state.champion_version())

    @rule(target=drafts, environment=ENVIRONMENTS, action=st.sampled_from([Action.GOOD, Action.FAILED]))
    def wants_to_end(self, environment: str, action: Action) -> Any:
        begun = self.book.state.environment(environment).in_progress
        return begun.ended(action) if begun else multiple()

    @rule(target=sent, draft=consumes(drafts))
    def writes(self, draft: Entry) -> Entry:
        self._append(draft)
        return draft

    @rule(draft=sent)
    def a_request_arrives_again(self, draft: Entry) -> None:
        self._append(draft)

    @rule(draft=consumes(drafts))
    def is_killed(self, draft: Entry) -> None:
        pass

    @rule(seconds=st.integers(1, LEASE))
    def time_passes(self, seconds: int) -> None:
        self.book.now += 1000 * seconds

    def _append(self, draft: Entry) -> None:
        before = self.book.state
        here = before.environment(draft.environment)
        refusal = self.book.append(draft)
        after, written = self.book.state, self.book.entries[-1]
        if refusal:
            assert (after.environments, after.champion, after.last) == (before.environments, before.champion, before.last)
            return
        assert draft.expects == here.newest
        assert after.environment(draft.environment).newest == written.number
        others = [name for name in before.environments if name != draft.environment]
        assert all(after.environment(name) == before.environment(name) for name in others)
        if draft.action in BEGINNINGS and here.in_progress:
            assert here.in_progress.key == draft.key or written.at >= here.in_progress.lease_over_at
        if draft.action in BEGINNINGS and draft.after:
            assert before.environment("staging").had(draft.version)
        if draft.action is Action.GOOD:
            live = after.environment(draft.environment).live
            assert live == written
        if after.champion != before.champion:
            assert draft.action is Action.GOOD
            assert draft.replaces == before.champion_version()
            assert after.champion == written

    @invariant()
    def each_request_counts_at_most_once(self) -> None:
        counted = self._counted()
        identities = [(entry.environment, entry.key, entry.version, entry.action, entry.expects) for entry in counted]
        assert len(set(identities)) == len(identities)

    @invariant()
    def each_key_ends_well_at_most_once(self) -> None:
        ended = [(entry.environment, entry.key) for entry in self._counted() if entry.action is Action.GOOD]
        assert len(set(ended)) == len(ended)

    @invariant()
    def what_has_counted_never_changes(self) -> None:
        """A reader who read less far agrees as far as he read."""
        whole = self.book.state.refused
        middle = len(self.book.entries) // 2
        assert fold(self.book.entries[:middle]).refused == {number: why for number, why in whole.items() if number <= middle}

    @invariant()
    def what_counts_alone_says_the_same(self) -> None:
        alone, whole = fold(self._counted()), self.book.state
        assert alone.refused == {}
        assert (alone.environments, alone.champion, alone.last) == (whole.environments, whole.champion, whole.last)

    def _counted(self) -> list[Entry]:
        refused = self.book.state.refused
        return [entry for entry in self.book.entries if entry.number not in refused]


TestAuthors = Authors.TestCase
TestAuthors.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)


@given(st.permutations(range(1, 7)), st.data())
@settings(deadline=None)
def test_a_worse_version_never_follows_a_better_one_as_champion(quality: list[int], data: st.DataObject) -> None:
    """Each promoter judges its version against the champion that it sees, at its own pace; some are killed, some write twice."""
    book = Book()
    steps = dict.fromkeys(range(1, 7), 0)
    drafts: dict[int, Entry] = {}
    champions = [0]
    while steps:
        version = data.draw(st.sampled_from(sorted(steps)), label="whose turn")
        if steps[version] == 0:
            state = book.state
            champion = state.champion_version()
            if champion and quality[champion - 1] > quality[version - 1]:
                del steps[version]
                continue
            drafts[version] = book.begin("production", version, f"run {version}", replaces=champion)
            steps[version] = 1
            continue
        refusals = [book.append(drafts[version]) for _ in range(data.draw(st.integers(1, 2), label="sent"))]
        if steps[version] == 1 and refusals[0] is None and data.draw(st.booleans(), label="lives"):
            drafts[version], steps[version] = book.begun("production").ended(Action.GOOD), 2
            book.now += data.draw(st.sampled_from([0, 1000 * LEASE]), label="takes")
        elif steps[version] == 1 and refusals[0] in (Refusal.STALE, Refusal.CHAMPION_MOVED):
            steps[version] = 0
        else:
            del steps[version]
        if book.state.champion_version() != champions[-1]:
            champions.append(book.state.champion_version())
    ranks = [quality[version - 1] for version in champions if version]
    assert ranks == sorted(ranks)
