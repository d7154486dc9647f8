import pytest

from netspec.lowering import at_level, find_backend
from netspec.passes import PASSES
from netspec.testing.pass_faults import PASS_FAULTS, PassFault, catches_pass
from netspec.verify import verify


@pytest.mark.parametrize("fault", PASS_FAULTS, ids=lambda fault: fault.name)
def test_verify_catches(fault: PassFault) -> None:
    assert catches_pass(find_backend("torch"), fault)


@pytest.mark.parametrize("fault", PASS_FAULTS, ids=lambda fault: fault.name)
def test_the_sound_pass_changes_the_network_and_is_not_caught(fault: PassFault) -> None:
    # Otherwise what is caught above might be the network, or no pass at all.
    sound = next(each for each in PASSES if each.name == fault.of)
    backend = at_level(find_backend("torch"), fault.level)
    report = verify(fault.graph(), [backend], "forward", deep=True)
    report.require()
    assert not report.divergences
    assert sound.run is not fault.run
    assert fault.level in sound.levels


def test_every_pass_has_a_fault() -> None:
    assert {fault.of for fault in PASS_FAULTS} == {each.name for each in PASSES}
    assert len({fault.name for fault in PASS_FAULTS}) == len(PASS_FAULTS)
