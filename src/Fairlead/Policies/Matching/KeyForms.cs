using System.Buffers;

namespace Fairlead.Policies.Matching;

/// <summary>The known forms of keys, from the vendors' documentation and the public rules of secret scanners.</summary>
internal static class KeyForms
{
    /// <summary>Maximum length of a key that has no fixed length.</summary>
    public const int LongestOpen = 256;

    /// <summary>Maximum length of a JSON web token.</summary>
    public const int LongestToken = 4096;

    private const string Digits = "0123456789";
    private const string Capitals = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    private const string Small = "abcdefghijklmnopqrstuvwxyz";

    private static readonly SearchValues<char> Hex = SearchValues.Create(Digits + "abcdefABCDEF");
    private static readonly SearchValues<char> Alphanumeric = SearchValues.Create(Digits + Capitals + Small);
    private static readonly SearchValues<char> CapitalAlphanumeric = SearchValues.Create(Digits + Capitals);
    private static readonly SearchValues<char> Underscored = SearchValues.Create(Digits + Capitals + Small + "_");
    private static readonly SearchValues<char> UrlSafe = SearchValues.Create(Digits + Capitals + Small + "_-");
    private static readonly SearchValues<char> Dotted = SearchValues.Create(Digits + Capitals + Small + "_-.");
    private static readonly SearchValues<char> Base64 = SearchValues.Create(Digits + Capitals + Small + "+/=");
    private static readonly SearchValues<char> Percent = SearchValues.Create(Digits + Capitals + Small + "+/=%_-");
    private static readonly SearchValues<char> Path = SearchValues.Create(Digits + Capitals + Small + "/");

    /// <summary>All forms. Prefixes are case-sensitive.</summary>
    public static readonly IReadOnlyList<KeyForm> All =
    [
        // OpenAI, Anthropic, OpenRouter, DeepSeek and others that use the same prefix.
        new("sk-", UrlSafe, 20, LongestOpen, IsMixed: true),
        new("AIza", UrlSafe, 35, 35), new("ya29.", UrlSafe, 20, LongestOpen), new("GOCSPX-", UrlSafe, 28, 28),
        new("AKIA", CapitalAlphanumeric, 16, 16), new("ASIA", CapitalAlphanumeric, 16, 16), new("ABIA", CapitalAlphanumeric, 16, 16),
        new("ACCA", CapitalAlphanumeric, 16, 16), new("ABSK", Base64, 60, LongestOpen),
        new("ghp_", Alphanumeric, 36, LongestOpen), new("gho_", Alphanumeric, 36, LongestOpen), new("ghu_", Alphanumeric, 36, LongestOpen),
        new("ghs_", Alphanumeric, 36, LongestOpen), new("ghr_", Alphanumeric, 36, LongestOpen), new("github_pat_", Underscored, 22, LongestOpen),
        new("glpat-", Dotted, 20, LongestOpen), new("gldt-", UrlSafe, 20, LongestOpen), new("glrt-", Dotted, 20, LongestOpen),
        new("glptt-", Hex, 40, 40), new("glcbt-", UrlSafe, 20, LongestOpen), new("glsoat-", UrlSafe, 20, LongestOpen),
        new("glagent-", UrlSafe, 50, LongestOpen), new("glft-", UrlSafe, 20, LongestOpen),
        new("xoxb-", UrlSafe, 10, LongestOpen), new("xoxp-", UrlSafe, 10, LongestOpen), new("xoxa-", UrlSafe, 10, LongestOpen),
        new("xoxr-", UrlSafe, 10, LongestOpen), new("xoxs-", UrlSafe, 10, LongestOpen), new("xoxe-", UrlSafe, 10, LongestOpen),
        new("xoxe.", Dotted, 10, LongestOpen), new("xoxo-", UrlSafe, 10, LongestOpen), new("xoxc-", UrlSafe, 10, LongestOpen),
        new("xoxd-", Percent, 10, LongestOpen), new("xapp-", UrlSafe, 10, LongestOpen), new("hooks.slack.com/services/", Path, 30, LongestOpen),
        new("sk_live_", Alphanumeric, 10, LongestOpen), new("sk_test_", Alphanumeric, 10, LongestOpen),
        new("rk_live_", Alphanumeric, 10, LongestOpen), new("rk_test_", Alphanumeric, 10, LongestOpen), new("whsec_", Base64, 24, LongestOpen),
        new("SK", Hex, 32, 32), new("SG.", Dotted, 66, 67), new("key-", Hex, 32, 32),
        new("npm_", Alphanumeric, 36, 36), new("pypi-", UrlSafe, 50, LongestOpen), new("rubygems_", Hex, 48, 48),
        new("dckr_pat_", UrlSafe, 27, 27), new("hf_", Alphanumeric, 30, LongestOpen), new("api_org_", Alphanumeric, 30, LongestOpen),
        new("gsk_", Alphanumeric, 40, LongestOpen), new("pplx-", Alphanumeric, 40, LongestOpen), new("r8_", Alphanumeric, 37, 37),
        new("xai-", Alphanumeric, 60, LongestOpen), new("tvly-", UrlSafe, 20, LongestOpen), new("lsv2_", Underscored, 40, LongestOpen),
        new("dop_v1_", Hex, 64, 64), new("doo_v1_", Hex, 64, 64), new("dor_v1_", Hex, 64, 64),
        new("shpat_", Hex, 32, 32), new("shpss_", Hex, 32, 32), new("shpca_", Hex, 32, 32), new("shppa_", Hex, 32, 32),
        new("sq0atp-", UrlSafe, 22, 22), new("sq0csp-", UrlSafe, 43, 43), new("dapi", Hex, 32, 32),
        new("lin_api_", Alphanumeric, 40, 40), new("secret_", Alphanumeric, 43, 43), new("ntn_", Alphanumeric, 40, LongestOpen),
        new("figd_", UrlSafe, 40, LongestOpen), new("PMAK-", UrlSafe, 59, 59), new("NRAK-", CapitalAlphanumeric, 27, 27),
        new("glsa_", Underscored, 41, 41), new("glc_", Base64, 32, LongestOpen), new("sntrys_", Percent, 60, LongestOpen),
        new("sntryu_", Hex, 64, 64), new("hvs.", UrlSafe, 24, LongestOpen), new("hvb.", UrlSafe, 24, LongestOpen),
        new("dp.pt.", Alphanumeric, 40, LongestOpen), new("dp.st.", Dotted, 40, LongestOpen), new("pscale_tkn_", Dotted, 32, LongestOpen),
        new("pscale_pw_", Dotted, 32, LongestOpen), new("sbp_", Hex, 40, 40), new("dt0c01.", Dotted, 80, LongestOpen),
        new("pul-", Hex, 40, 40), new("AGE-SECRET-KEY-1", CapitalAlphanumeric, 58, 58), new("EAACEdEose0cBA", Alphanumeric, 20, LongestOpen),
        new("vcp_", Alphanumeric, 24, LongestOpen), new("cfut_", Alphanumeric, 40, LongestOpen), new("nvapi-", UrlSafe, 40, LongestOpen),
        // Signatures of Azure storage: the end of a URL.
        new("sig=", Percent, 43, 64, IsMixed: true),
        // JSON web tokens: the header is JSON, which starts with {" in base64.
        new("eyJ", Dotted, 30, LongestToken),
        // Fairlead: public id, secret and checksum.
        new("fl_", Underscored, 66, 66),
    ];

    /// <summary>Names before a value that has no prefix of its own, with the length of the value.</summary>
    public static readonly IReadOnlyList<KeyForm> Named =
    [
        new("aws_secret_access_key", Base64, 40, 40), new("aws_secret_key", Base64, 40, 40), new("secretaccesskey", Base64, 40, 40),
        new("accountkey", Base64, 86, 88), new("sharedaccesskey", Base64, 43, 88),
    ];
}
