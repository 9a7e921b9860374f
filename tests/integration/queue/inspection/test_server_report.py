from inferq.queue.producer.producer import Producer


async def test_server_is_told_what_it_is_and_how_it_is_configured(producer, redis_server, redis_client):
    report = await producer.read_server_report()
    assert report.name.lower() == redis_server.kind
    assert report.version.split(".")[0] >= "7"
    assert (report.faults, report.failed_writes, report.policy) == ((), (), "noeviction")
    assert (report.has_append_only_file, report.appendfsync, report.save) == (True, "everysec", "")
    assert (report.is_replica, report.replicas, report.is_cluster) == (False, 0, False)
    assert report.value_bytes == 512 * 1024 * 1024
    assert 0 < report.used_bytes < report.machine_bytes
    assert 0 < report.delays[0] <= report.delays[-1]
    assert abs(report.clock_offset_seconds) < 30


async def test_user_who_may_not_read_the_configuration_gets_the_rest(settings, redis_client, redis_server):
    redis_client.acl_setuser(
        "curious", enabled=True, passwords=["+pw"], keys="*", commands=["+@all", "-config"]
    )
    try:
        url = redis_server.url.replace("redis://", "redis://curious:pw@")
        producer = Producer.from_settings(settings.model_copy(update={"redis_url": url}))
        report = await producer.read_server_report()
        await producer.close()
    finally:
        redis_client.acl_deluser("curious")
    assert (report.appendfsync, report.save, report.value_bytes) == (None, None, None)
    assert report.has_append_only_file
