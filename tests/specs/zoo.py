"""The zoo's figures, as their sources state them: data that test_zoo.py runs. Sorted by spec."""

from tests.specs.convnext import CONVNEXT
from tests.specs.efficient import EFFICIENT
from tests.specs.member import IMAGENET, Member

# Kernels and biases of the prototxt's layers, conv1, cccp1, cccp2, conv2, …: 96·3·11² + 96, 96·96 + 96 twice;
# 256·96·5² + 256, 256·256 + 256 twice; 384·256·3² + 384, 384·384 + 384 twice; 1024·384·3² + 1024, 1024² + 1024 and
# 1000·1024 + 1000.
NIN = 34_944 + 2 * 9_312 + 614_656 + 2 * 65_792 + 885_120 + 2 * 147_840 + 3_539_968 + 1_049_600 + 1_025_000

# 96·3·7² + 96, 256·96·5² + 256, 384·256·3² + 384, 384·384·3² + 384, 256·384·3² + 256; 9216, 4096 and 4096 features to
# 4096, 4096 and 1000.
ZFNET = 14_208 + 614_656 + 885_120 + 1_327_488 + 884_992 + 37_752_832 + 16_781_312 + 4_097_000

_OTHERS = (
    Member(
        "dcgan-discriminator",
        {},
        2_765_568,
        1_792,
        # 4·4 kernels at each position of 64, 128, 256, 512 and 1 channels
        16 * (1024 * 3 * 64 + 256 * 64 * 128 + 64 * 128 * 256 + 16 * 256 * 512 + 512),
        ((1,),),
        "the discriminator of pytorch/examples with ndf 64; multiplications counted by hand",
    ),
    Member(
        "dcgan-generator",
        {},
        3_576_704,
        1_920,
        # each element times its 4·4 kernels, of 512, 256, 128, 64 and 3 channels
        100 * 16 * 512 + 16 * 16 * (1 * 512 * 256 + 4 * 256 * 128 + 16 * 128 * 64) + 1024 * 16 * 64 * 3,
        ((3, 64, 64),),
        "the generator of pytorch/examples with ngf 64 and nz 100; multiplications counted by hand",
    ),
    Member(
        "densenet", {"depth": 121}, 7_978_856, 83_648, 2_834_161_664, IMAGENET, "torchvision's densenet121: 2.834 G"
    ),
    Member(
        "densenet", {"depth": 161}, 28_681_000, 219_936, 7_727_907_072, IMAGENET, "torchvision's densenet161: 7.728 G"
    ),
    Member(
        "densenet", {"depth": 169}, 14_149_480, 158_400, 3_359_843_328, IMAGENET, "torchvision's densenet169: 3.36 G"
    ),
    Member(
        "densenet", {"depth": 201}, 20_013_928, 229_056, 4_291_365_888, IMAGENET, "torchvision's densenet201: 4.291 G"
    ),
    Member(
        "googlenet", {}, 13_004_888, 15_072, 1_498_376_192, IMAGENET, "torchvision's googlenet, aux_logits: 1.498 G"
    ),
    Member(
        "googlenet", {"heads": False}, 6_624_904, 14_560, 1_498_376_192, IMAGENET, "torchvision's googlenet: 1.498 G"
    ),
    Member("inception-v3", {}, 27_161_264, 36_224, 5_713_216_096, IMAGENET, "torchvision's inception_v3: 5.713 G"),
    Member("inception-v3", {"heads": False}, 23_834_568, 34_432, 5_713_216_096, IMAGENET, "the same: 5.713 G"),
    Member(
        "lenet5-1998",
        {},
        60_000,
        10 * 84,  # the codes
        # the paper's connections without biases: C1 122,304, S2's coefficients, C3 151,600, S4's, C5 48,120, F6 10,164
        28 * 28 * 6 * 25 + 14 * 14 * 6 + 10 * 10 * (6 * 3 + 9 * 4 + 6) * 25 + 5 * 5 * 16 + 400 * 120 + 120 * 84,
        ((10,),),
        "the paper, section II.B; multiplications counted by hand",
    ),
    Member("nin", {}, NIN, 0, 1_100_188_800, IMAGENET, "counted by the layers of the Caffe model zoo's nin_imagenet"),
    Member(
        "regnet-y",
        {"flops": "400mf"},
        4_344_144,
        27_152,
        401_842_848,
        IMAGENET,
        "torchvision's regnet_y_400mf: 0.402 G",
    ),
    Member(
        "regnet-y",
        {"flops": "800mf"},
        6_432_512,
        30_432,
        833_856_256,
        IMAGENET,
        "torchvision's regnet_y_800mf: 0.834 G",
    ),
    Member(
        "regnet-y",
        {"flops": "800mf_pycls"},
        6_263_168,
        29_888,
        797_176_832,
        IMAGENET,
        "timm's regnety_008; the authors: 0.8 G",
    ),
    Member(
        "regnet-y",
        {"flops": "1_6gf"},
        11_202_430,
        52_672,
        1_612_076_160,
        IMAGENET,
        "torchvision's regnet_y_1_6gf: 1.612 G",
    ),
    Member(
        "regnet-y",
        {"flops": "3_2gf"},
        19_436_338,
        66_160,
        3_176_482_752,
        IMAGENET,
        "torchvision's regnet_y_3_2gf: 3.176 G",
    ),
    Member(
        "regnet-y", {"flops": "8gf"}, 39_381_472, 86_528, 8_473_070_592, IMAGENET, "torchvision's regnet_y_8gf: 8.473 G"
    ),
    Member(
        "regnet-y",
        {"flops": "16gf"},
        83_590_140,
        122_816,
        15_911_510_272,
        IMAGENET,
        "torchvision's regnet_y_16gf: 15.912 G",
    ),
    Member(
        "regnet-y",
        {"flops": "32gf"},
        145_046_770,
        158_288,
        32_279_552_832,
        IMAGENET,
        "torchvision's regnet_y_32gf: 32.28 G",
    ),
    Member(
        "regnet-y",
        {"flops": "200mf"},
        3_162_996,
        20_848,
        199_514_080,
        IMAGENET,
        "timm's regnety_002; the authors: 0.2 G",
    ),
    Member(
        "regnet-y",
        {"flops": "600mf"},
        6_055_160,
        29_760,
        601_220_992,
        IMAGENET,
        "timm's regnety_006; the authors: 0.6 G",
    ),
    Member("resnet", {"depth": 18}, 11_689_512, 9_600, 1_814_073_344, IMAGENET, "torchvision's resnet18: 1.814 G"),
    Member("resnet", {"depth": 34}, 21_797_672, 17_024, 3_663_761_408, IMAGENET, "torchvision's resnet34: 3.664 G"),
    Member("resnet", {"depth": 50}, 25_557_032, 53_120, 4_089_184_256, IMAGENET, "torchvision's resnet50: 4.089 G"),
    Member("resnet", {"depth": 101}, 44_549_160, 105_344, 7_801_405_440, IMAGENET, "torchvision's resnet101: 7.801 G"),
    Member(
        "resnet", {"depth": 152}, 60_192_808, 151_424, 11_513_626_624, IMAGENET, "torchvision's resnet152: 11.514 G"
    ),
    Member(
        "resnext", {"depth": 50}, 25_028_904, 68_224, 4_230_479_872, IMAGENET, "torchvision's resnext50_32x4d: 4.23 G"
    ),
    Member(
        "resnext",
        {"depth": 101},
        88_791_336,
        202_880,
        16_414_015_488,
        IMAGENET,
        "torchvision's resnext101_32x8d: 16.414 G",
    ),
    Member("swin", {"model": "t"}, 28_288_354, 0, 4_490_566_656, IMAGENET, "torchvision's swin_t: 4.491 G"),
    Member("swin", {"model": "s"}, 49_606_258, 0, 8_740_875_264, IMAGENET, "torchvision's swin_s: 8.741 G"),
    Member("swin", {"model": "b"}, 87_768_224, 0, 15_430_946_816, IMAGENET, "torchvision's swin_b: 15.431 G"),
    Member(
        "swin",
        {"model": "l"},
        196_532_476,
        0,
        34_475_759_616,
        IMAGENET,
        "timm's swin_large_patch4_window7_224; the authors: 34.5 G",
    ),
    Member(
        "swin",
        {"model": "b_384"},
        87_903_584,
        0,
        47_083_134_976,
        IMAGENET,
        "timm's swin_base_patch4_window12_384; the authors: 47.1 G",
    ),
    Member(
        "swin",
        {"model": "l_384"},
        196_735_516,
        0,
        103_919_087_616,
        IMAGENET,
        "timm's swin_large_patch4_window12_384; the authors: 103.9 G",
    ),
    Member("unet", {}, 31_030_658, 0, 150_428_424_448, ((2, 388, 388),), "figure 1, counted by hand in the spec"),
    Member("vgg", {"depth": 11}, 132_863_336, 0, 7_609_090_048, IMAGENET, "torchvision's vgg11: 7.609 G"),
    Member("vgg", {"depth": 13}, 133_047_848, 0, 11_308_466_176, IMAGENET, "torchvision's vgg13: 11.308 G"),
    Member("vgg", {"depth": 16}, 138_357_544, 0, 15_470_264_320, IMAGENET, "torchvision's vgg16: 15.47 G"),
    Member("vgg", {"depth": 19}, 143_667_240, 0, 19_632_062_464, IMAGENET, "torchvision's vgg19: 19.632 G"),
    Member(
        "vgg",
        {"depth": 11, "batch_norm": True},
        132_868_840,
        5_504,
        7_609_090_048,
        IMAGENET,
        "torchvision's vgg11_bn: 7.609 G",
    ),
    Member(
        "vgg",
        {"depth": 13, "batch_norm": True},
        133_053_736,
        5_888,
        11_308_466_176,
        IMAGENET,
        "torchvision's vgg13_bn: 11.308 G",
    ),
    Member(
        "vgg",
        {"depth": 16, "batch_norm": True},
        138_365_992,
        8_448,
        15_470_264_320,
        IMAGENET,
        "torchvision's vgg16_bn: 15.47 G",
    ),
    Member(
        "vgg",
        {"depth": 19, "batch_norm": True},
        143_678_248,
        11_008,
        19_632_062_464,
        IMAGENET,
        "torchvision's vgg19_bn: 19.632 G",
    ),
    Member("vit", {"model": "b_16"}, 86_567_656, 0, 17_563_828_224, IMAGENET, "torchvision's vit_b_16: 17.564 G"),
    Member("vit", {"model": "b_32"}, 88_224_232, 0, 4_409_186_304, IMAGENET, "torchvision's vit_b_32: 4.409 G"),
    Member("vit", {"model": "l_16"}, 304_326_632, 0, 61_554_712_576, IMAGENET, "torchvision's vit_l_16: 61.555 G"),
    Member("vit", {"model": "l_32"}, 306_535_400, 0, 15_377_539_072, IMAGENET, "torchvision's vit_l_32: 15.378 G"),
    Member("vit", {"model": "h_14"}, 632_045_800, 0, 167_295_109_120, IMAGENET, "torchvision's vit_h_14: 167.295 G"),
    Member(
        "vit",
        {"model": "b_16_384"},
        86_859_496,
        0,
        55_484_350_464,
        IMAGENET,
        "torchvision's vit_b_16 of SWAG at 384: 55.484 G",
    ),
    Member(
        "vit",
        {"model": "s_16"},
        22_050_664,
        0,
        4_598_882_304,
        IMAGENET,
        "timm's vit_small_patch16_224; counted as vit_b_16 is",
    ),
    Member(
        "vit",
        {"model": "ti_16"},
        5_717_416,
        0,
        1_253_683_200,
        IMAGENET,
        "timm's vit_tiny_patch16_224; counted as vit_b_16 is",
    ),
    Member(
        "wide-resnet",
        {"depth": 50},
        68_883_240,
        68_224,
        11_398_021_120,
        IMAGENET,
        "torchvision's wide_resnet50_2: 11.398 G",
    ),
    Member(
        "wide-resnet",
        {"depth": 101},
        126_886_696,
        137_856,
        22_753_050_624,
        IMAGENET,
        "torchvision's wide_resnet101_2: 22.753 G",
    ),
    Member("zfnet", {}, ZFNET, 0, 1_168_032_896, IMAGENET, "counted by the layers of the paper's figure 3"),
)
MEMBERS = tuple(sorted((*CONVNEXT, *EFFICIENT, *_OTHERS), key=lambda member: member.spec))
