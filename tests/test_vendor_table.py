"""The comparison with NVIDIA's tables finds what differs. The tables here are made up, in the form of NVIDIA's."""

from pathlib import Path

import pytest

from tests.vendor_table import main

HEADER = """
static const LEGACY_STRINGS LegacyStrings[] = {
    { 9, "580.xx" },
    { 8, "470.xx" },
    { 4, "304.xx" }
};
static const LEGACY_INFO LegacyList[] = {
//    PCI-ID  Subvend Subdev   Branch  Marketing name
    { 0x1DB4, 0x0000, 0x0000,  9,      "Tesla V100-PCIE-16GB" },
    { 0x102D, 0x10DE, 0x106C,  %s,      "Tesla K80" },
    { 0x0040, 0x0000, 0x0000,  4,      "GeForce 6800 Ultra" },
};
static const GPU_FLAGS GpuFlagList[] = {
    { 0x1eb8, %s },
};
static const GPU_SUBDEVICE_FLAGS GpuSubDeviceFlagList[] = {
    { 0x1eb8, 0x10de, %s, GPU_FLAGS_VGPU_GUEST | GPU_FLAGS_VGPU_NO_GSP },
};
"""
POSSIBLE = "GPU_FLAGS_PROPRIETARY_POSSIBLE"
README = "version 580.142.\n\n| Product | PCI ID |\n| Tesla T4 | 1EB8 10DE 12A2 |\n| NVIDIA B200 | 2901 |\n%s"


@pytest.mark.parametrize(
    ("header", "extra", "said"),
    [
        (HEADER % (8, POSSIBLE, "0x1375"), "", []),
        (HEADER % (9, POSSIBLE, "0x1375"), "", ["last branch: 0x102D (Tesla K80): NVIDIA has 580, the catalogue 470"]),
        (HEADER % (8, "GPU_FLAGS_NO_GSP", "0x1375"), "", ["modules: 0x1eb8: NVIDIA has proprietary"]),
        (HEADER % (8, POSSIBLE, "0x1376"), "", ["vGPU: 0x1eb8 0x10de 0x1376", "beside a vGPU: 0x1eb8 0x10de 0x1375"]),
        (HEADER % (8, POSSIBLE, "0x1375"), "| A newer one | 3300 |\n", ["in 580: 0x3300: NVIDIA has True"]),
        (HEADER % (8, POSSIBLE, "0x1375"), "| Tesla V100 | 1DB4 |\n", ["open modules: 0x1db4: NVIDIA has True"]),
    ],
)
def test_what_differs_is_printed_and_fails(
    header: str, extra: str, said: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "nvGpus.h").write_text(header)
    (tmp_path / "README.md").write_text(README % extra)
    assert main([str(tmp_path / "nvGpus.h"), str(tmp_path / "README.md")]) == (1 if said else 0)
    printed = capsys.readouterr().out
    if said:
        assert all(line in printed for line in said)
    else:
        assert "0 differ" in printed


def test_a_table_of_another_form_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "nvGpus.h").write_text(HEADER % (8, POSSIBLE, "0x1375"))
    (tmp_path / "README.md").write_text("no README of theirs")
    with pytest.raises(SystemExit, match="open-gpu-kernel-modules"):
        main([str(tmp_path / "nvGpus.h"), str(tmp_path / "README.md")])
    assert main([]) == 2
