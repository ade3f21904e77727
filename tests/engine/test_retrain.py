"""What the gate refuses in words, and what a playbook that only observes leaves alone."""

from dataclasses import replace

from killick.clock import DAY, HOUR
from killick.engine.record import Book
from killick.engine.retrain import request_retraining
from killick.engine.run import run_due
from killick.errors import OutsideError
from killick.testing.models import MemoryModels
from killick.testing.simulator import BEGIN, LOADERS, MODEL, changed_minds
from tests.engine.shop import Shop

LATER = BEGIN + 15 * DAY


def asked(shop: Shop, now: int, mode: str):
    """A playbook asks for a retraining."""
    with shop.world.control.transaction() as t:
        return request_retraining(Book(t, MODEL, now), shop.story.spec, "log loss is too high", mode=mode)


def told(shop: Shop) -> list[str]:
    """What the ledger tells of retraining."""
    with shop.world.control.transaction() as t:
        return [entry.fact.action for entry in t.ledger() if "retrain" in entry.fact.action]


def test_a_playbook_that_only_observes_begins_nothing_and_bars_nothing():
    """It says once a cool-down (five days) what it would do; a playbook that acts goes on as if nothing had been."""
    shop = Shop.opened(changed_minds())
    for day in range(7):
        assert asked(shop, LATER + day * DAY, "observe") is None
        assert asked(shop, LATER + day * DAY, "observe") is None
    assert told(shop) == ["would retrain"] * 2
    assert asked(shop, LATER + 7 * DAY, "act").state == "training"


def test_a_trial_that_cannot_score_is_refused_with_its_reason():
    """The operator's command made something that raises: the gate says so, and the engine goes on."""
    shop = Shop.opened(changed_minds())
    orders = shop.orders(3000)
    shop.predict(orders)
    shop.turn_out(dict.fromkeys(orders["prediction_id"], 1), at=BEGIN + 9 * DAY - HOUR)

    def broken(artifact):
        def score(columns):
            raise OutsideError("needs a column of tomorrow")

        return score

    shop.world = replace(shop.world, models=MemoryModels(LOADERS | {"shop:fitted": broken}))
    job = asked(shop, BEGIN + 9 * DAY, "act")
    run_due(shop.world, shop.story.spec, BEGIN + 9 * DAY)
    with shop.world.control.transaction() as t:
        book = Book(t, MODEL, LATER)
        assert book.machine("retraining", job.id).state == "refused"
        assert "needs a column of tomorrow" in t.ledger()[-1].fact.reason
