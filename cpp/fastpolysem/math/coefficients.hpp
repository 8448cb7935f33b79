// Minimax polynomials, highest power first, computed by Remez exchange in 60 digits (mpmath) and rounded once.
#pragma once

namespace fastpolysem::math {

template <class T>
struct Coefficients;

template <>
struct Coefficients<float> {
    // (e^r - 1 - r) / r^2 for |r| <= ln(2)/2; of the relative error of e^r
    static constexpr float exp[] = {0x1.6a2352p-10f, 0x1.123a6cp-7f, 0x1.5558f4p-5f, 0x1.55549p-3f, 0x1.fffffcp-2f};
    // (2 artanh(s) / s - 2) / s^2 in s^2, for |s| <= 0.1716 = (sqrt(2) - 1) / (sqrt(2) + 1)
    static constexpr float log[] = {0x1.31e678p-2f, 0x1.995e9cp-2f, 0x1.55557ap-1f};
    // (tanh(x) / x - 1) / x^2 in x^2, for |x| <= 0.625
    static constexpr float tanh[] = {-0x1.76ac1ap-8f, 0x1.5256d8p-6f, -0x1.b84448p-5f, 0x1.110768p-3f, -0x1.555534p-2f};
    // erf(x) / x - 1 in x^2, for |x| <= 1
    static constexpr float erf[] = {0x1.496a32p-14f, -0x1.a3f7p-11f,  0x1.5405b2p-8f, -0x1.b7f90ep-6f,
                                    0x1.ce2cf8p-4f,  -0x1.81273ep-2f, 0x1.06eba8p-3f};
    // -ln(1 - erf(x)), for 1 <= x <= 4 (float) or 6 (double), weighted by 1 - erf(x)
    static constexpr float erfc_exponent[] = {-0x1.852d46p-13f, 0x1.814cd8p-9f, -0x1.654222p-6f, 0x1.a60a82p-4f,
                                              0x1.46c584p-1f,   0x1.2085b2p+0f, 0x1.72e6ecp-12f};
};

template <>
struct Coefficients<double> {
    // (e^r - 1 - r) / r^2 for |r| <= ln(2)/2; of the relative error of e^r
    static constexpr double exp[] = {0x1.ad7eff9b224d8p-26, 0x1.28adce78ba593p-22, 0x1.71df262e21a7ap-19,
                                     0x1.a01999adc5315p-16, 0x1.a01a0129b3961p-13, 0x1.6c16c1844b03dp-10,
                                     0x1.1111111127e85p-7,  0x1.55555555507f1p-5,  0x1.55555555554f9p-3,
                                     0x1.000000000000ap-1};
    // (2 artanh(s) / s - 2) / s^2 in s^2, for |s| <= 0.1716 = (sqrt(2) - 1) / (sqrt(2) + 1)
    static constexpr double log[] = {0x1.2f0d8ec40aa38p-3, 0x1.39a0f4fdbfc42p-3, 0x1.7466462cbdee8p-3,
                                     0x1.c71c51e7f650ep-3, 0x1.2492494217a3p-2,  0x1.999999997fb31p-2,
                                     0x1.5555555555593p-1};
    // (tanh(x) / x - 1) / x^2 in x^2, for |x| <= 0.625
    static constexpr double tanh[] = {-0x1.0e3d6d451444bp-16, 0x1.43e17be2ab096p-14,  -0x1.df7a8bb2b5151p-13,
                                      0x1.336ae6355934p-11,   -0x1.7d696a7b4e01fp-10, 0x1.d6cf3ca692p-9,
                                      -0x1.226e16da1141ap-7,  0x1.664f4781f78bap-6,   -0x1.ba1ba1b53109p-5,
                                      0x1.111111110b0c7p-3,   -0x1.5555555555503p-2};
    // erf(x) / x - 1 in x^2, for |x| <= 1
    static constexpr double erf[] = {0x1.0579ab2b0ba23p-34,  -0x1.386ac0ef6e82fp-30, 0x1.f7a4123bde234p-27,
                                     -0x1.5f1d36c387081p-23, 0x1.b9def19e19ac5p-20,  -0x1.f4d1df394e74p-17,
                                     0x1.f9a321a11dfdbp-14,  -0x1.c02db3d8ed26p-11,  0x1.565bcd0db02e5p-8,
                                     -0x1.b82ce3128499cp-6,  0x1.ce2f21a042b2p-4,    -0x1.812746b0379e6p-2,
                                     0x1.06eba8214db69p-3};
    // -ln(1 - erf(x)), for 1 <= x <= 4 (float) or 6 (double), weighted by 1 - erf(x)
    static constexpr double erfc_exponent[] = {
        -0x1.247b829e28869p-40, 0x1.a1fc885c1d555p-35,  -0x1.1793deda207b3p-30, 0x1.d0a43ba32a8dbp-27,
        -0x1.0c155f803a47bp-23, 0x1.c5c6e02da1fd5p-21,  -0x1.20b298efe41c6p-18, 0x1.138406f5c866ep-16,
        -0x1.7791db63ae055p-15, 0x1.24917525234e5p-14,  0x1.81758180fd2bfp-15,  -0x1.51069ff9e2ed7p-11,
        0x1.d03c35d63ad3cp-10,  -0x1.27ee2336742b6p-12, -0x1.388e925ba1bdp-6,   0x1.a4d9aa8f64bb3p-4,
        0x1.45f4328484bfap-1,   0x1.20dd55664e92cp+0,   0x1.8bebb497b7f95p-23};
};

// (cos(pi r) - 1) / r^2 and sin(pi r) / r in r^2, for |r| <= 1/4
inline constexpr double cos_pi_coefficients[] = {-0x1.b26fe85a7a32fp-14, 0x1.f9cc6acfc3786p-10, -0x1.a6d1ecb740148p-6,
                                                 0x1.e1f50683b42cap-3,   -0x1.55d3c7e3c95bcp+0, 0x1.03c1f081b5abp+2,
                                                 -0x1.3bd3cc9be45dep+2};
inline constexpr double sin_pi_coefficients[] = {-0x1.6c58cc2679b13p-16, 0x1.e8eec79bfcebap-12, -0x1.e3074b42c3217p-8,
                                                 0x1.50783485c2d5ap-4,   -0x1.32d2cce62abbdp-1, 0x1.466bc6775aad9p+1,
                                                 -0x1.4abbce625be53p+2,  0x1.921fb54442d18p+1};

}  // namespace fastpolysem::math
