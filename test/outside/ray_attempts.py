"""Tests of deploy/ray/attempts.py, which `ray-attempts.test.ts` runs. Replicas are lists of what they answer."""

import asyncio
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from deploy.ray import attempts
from deploy.ray.attempts import AWAY, LOST, Beginning, begin

ANSWER, STOPS = Beginning(200, {}, b"first"), Beginning(503, {}, b"stops")


class Gone(Exception):
    pass


class Replicas:
    """Each attempt gets the next outcome, and the last one again and again."""

    def __init__(self, *outcomes, seconds=0.0):
        self.keys, self._outcomes, self._seconds = [], outcomes, seconds

    async def send(self, key):
        self.keys.append(key)
        await asyncio.sleep(self._seconds)
        outcome = self._outcomes[min(len(self.keys), len(self._outcomes)) - 1]
        if isinstance(outcome, Exception):
            raise outcome
        if outcome is not None:
            yield outcome

    def begin(self, adapter="acme", is_repeatable=True):
        return asyncio.run(begin(self.send, adapter, is_repeatable, lambda error: isinstance(error, Gone)))


class Attempts(unittest.TestCase):
    def setUp(self):
        attempts.RETRY_SECONDS, attempts.ACCEPTED_SECONDS, attempts.PAUSE_SECONDS = 0.2, 0.1, 0.01

    def test_first_attempt_goes_to_the_adapters_replica_and_later_ones_have_keys_of_the_adapter(self):
        first, second = Replicas(AWAY, AWAY, ANSWER), Replicas(AWAY, AWAY, ANSWER)
        self.assertEqual(first.begin()[0], ANSWER)
        second.begin()
        self.assertEqual(first.keys[0], "acme")
        self.assertEqual(len(set(first.keys)), 3)
        self.assertEqual(first.keys, second.keys)

    def test_requests_of_the_base_have_no_key(self):
        replicas = Replicas(AWAY, ANSWER)
        replicas.begin(adapter="")
        self.assertEqual(replicas.keys, ["", ""])

    def test_lost_requests_are_sent_again(self):
        for lost in (LOST, STOPS, Gone(), None):  # None: the replica ends without an answer
            self.assertEqual(Replicas(lost, ANSWER).begin()[0], ANSWER)

    def test_a_change_that_a_server_may_have_seen_is_sent_once(self):
        for lost in (LOST, Gone(), None):
            replicas = Replicas(lost, ANSWER)
            self.assertIsNone(replicas.begin(is_repeatable=False))
            self.assertEqual(len(replicas.keys), 1)
        self.assertEqual(Replicas(STOPS, ANSWER).begin(is_repeatable=False)[0], STOPS)
        self.assertEqual(Replicas(AWAY, ANSWER).begin(is_repeatable=False)[0], ANSWER)

    def test_other_faults_are_raised(self):
        with self.assertRaises(ValueError):
            Replicas(ValueError(), ANSWER).begin()

    def test_a_request_that_no_server_accepts_is_given_up(self):
        self.assertIsNone(Replicas(AWAY).begin())
        self.assertEqual(Replicas(STOPS).begin()[0], STOPS)

    def test_time_in_the_queue_of_a_lost_server_does_not_count(self):
        self.assertEqual(Replicas(LOST, LOST, ANSWER, seconds=0.25).begin()[0], ANSWER)
        self.assertEqual(Replicas(STOPS, STOPS, ANSWER, seconds=0.25).begin()[0], ANSWER)

    def test_a_request_with_which_servers_are_lost_again_and_again_is_given_up(self):
        replicas = Replicas(LOST)
        self.assertIsNone(replicas.begin())
        self.assertEqual(len(replicas.keys), attempts.MAX_LOST)


unittest.main()
