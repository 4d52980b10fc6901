from vramline.pauses import GrowingPause


def test_a_pause_grows_to_a_minute_and_begins_again_when_reset() -> None:
    pause = GrowingPause()

    grown = [pause.next() for _ in range(8)]
    pause.reset()

    assert grown == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]
    assert pause.next() == 1.0
