from tests.chaos.faults import CLUSTER_KINDS, STORE_KINDS, FaultKind, draw_schedule


def test_one_seed_gives_one_schedule():
    assert draw_schedule(7, 60.0, 1.0) == draw_schedule(7, 60.0, 1.0)
    assert draw_schedule(7, 60.0, 1.0) != draw_schedule(8, 60.0, 1.0)


def test_faults_lie_within_the_run_in_order_and_every_kind_is_among_them():
    faults = draw_schedule(7, 60.0, 1.0, has_object_store=True, is_cluster=True)
    assert all(0 < fault.at < 60 for fault in faults)
    assert faults == sorted(faults, key=lambda fault: fault.at)
    assert {fault.kind for fault in faults} == set(FaultKind)
    without = draw_schedule(7, 60.0, 1.0)
    assert {fault.kind for fault in without} == set(FaultKind) - STORE_KINDS - CLUSTER_KINDS
