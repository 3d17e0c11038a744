"""The Redis server of the demo."""

import pytest
import redis

from worker.demo.embedded_redis import EmbeddedRedis


@pytest.mark.parametrize("name", ["with blanks in it", "50% off? #1", 'it\'s "quoted"', "Größe"])
def test_the_data_may_be_in_any_folder(tmp_path, name):
    """The path of a checkout may have any characters; the server finds its file there again."""
    directory = tmp_path / name / "redis"

    with EmbeddedRedis(directory) as server, redis.Redis.from_url(server.url) as client:
        client.set("key", "value")

    with EmbeddedRedis(directory) as server, redis.Redis.from_url(server.url) as client:
        assert b"value" == client.get("key")
