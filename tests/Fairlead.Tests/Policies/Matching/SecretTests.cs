using Fairlead.Access;

namespace Fairlead.Tests.Policies.Matching;

public sealed class SecretTests
{
    // Keys are put together here, so that scanners of source code do not take them for real ones.
    public static TheoryData<string> Keys =>
    [
        "sk-" + "abcdefghij0123456789abcdefghij0123456789abcdefgh", "sk-proj-" + Repeat("aB3_-x", 20), "sk-ant-api03-" + Repeat("aB3_-x", 15) + "AA",
        "AIza" + "SyA1234567890abcdefghijklmnopqrstuv", "AKIA" + "IOSFODNN7EXAMPLE", "ASIA" + "IOSFODNN7EXAMPLE",
        "ghp_" + Repeat("aB3d", 9), "gho_" + Repeat("aB3d", 9), "ghu_" + Repeat("aB3d", 9), "ghs_" + Repeat("aB3d", 9), "ghr_" + Repeat("aB3d", 9),
        "github_pat_" + Repeat("aB3_", 20), "glpat-" + Repeat("aB3d-", 4), "xoxb-" + "123456789012-abcdefABCDEF", "xoxp-" + "123456789012-abcdef",
        "sk_live_" + Repeat("aB3d", 6), "rk_live_" + Repeat("aB3d", 6), "whsec_" + Repeat("aB3d", 8), "SK" + Repeat("0a1b", 8),
        "SG." + Repeat("aB3d", 5) + "xy." + Repeat("aB3_", 10) + "xyz", "npm_" + Repeat("aB3d", 9), "pypi-" + Repeat("AgEIcHlwaS5vcmc", 6),
        "hf_" + Repeat("aBcD", 8) + "ab", "gsk_" + Repeat("aB3d", 13), "xai-" + Repeat("aB3d", 20), "dop_v1_" + Repeat("0a1b", 16),
        "shpat_" + Repeat("0a1b", 8), "hvs." + Repeat("aB3d", 8), "dckr_pat_" + Repeat("aB3", 9), "lin_api_" + Repeat("aB3d", 10),
        "eyJ" + "hbGciOiJIUzI1NiJ9.eyJ" + "zdWIiOiIxMjM0NTY3ODkwIn0.dBjftJeZ4CVPmB92K27uhbUJU1p1r_wW1gFWFOEjXk", "nvapi-" + Repeat("aB3_", 16),
        ApiKeyText.New().Text,
    ];

    [Theory]
    [MemberData(nameof(Keys))]
    public void Find_KnownKey_FoundInAllSurroundings(string key)
    {
        foreach (var text in (string[])[key, $"key={key}", $"\"{key}\"", $"use {key}, please", $"Bearer {key}\n", $"see {key}."])
            Assert.Equal([key], Matching.Find("known_key", text));
    }

    [Theory]
    [InlineData("a task-force-with-20-members-in-it")]
    [InlineData("the risk-averse and sk-like words")]
    [InlineData("sk-learn-is-a-library-for-learning")]
    [InlineData("AKIA, ASIA and AIza are prefixes")]
    [InlineData("ghp_short")]
    [InlineData("eyJhbGciOiJIUzI1NiJ9 alone is a header")]
    [InlineData("SKELETON SK1234 npm_config_registry")]
    public void Find_NoKey_FindsNothing(string text) => Assert.Empty(Matching.Find("known_key", text));

    [Theory]
    [InlineData("aws_secret_access_key = {0}", 40)]
    [InlineData("\"SecretAccessKey\": \"{0}\"", 40)]
    [InlineData("AWS_SECRET_ACCESS_KEY={0}", 40)]
    [InlineData("AccountName=x;AccountKey={0};EndpointSuffix=y", 88)]
    public void Find_KeyAfterItsName_FindsOnlyKey(string text, int length)
    {
        var key = Repeat("aB3d+/Zk", 11)[..(length == 88 ? 86 : length)] + (length == 88 ? "==" : "");
        Assert.Equal([key], Matching.Find("known_key", text.Replace("{0}", key, StringComparison.Ordinal)));
    }

    [Theory]
    [InlineData("RSA PRIVATE KEY", "\n")]
    [InlineData("PRIVATE KEY", "\r\n")]
    [InlineData("OPENSSH PRIVATE KEY", "\n")]
    [InlineData("EC PRIVATE KEY", "\\n")]
    [InlineData("ENCRYPTED PRIVATE KEY", "\\\\n")]
    public void Find_PrivateKey_FindsWholeBlock(string title, string newLine)
    {
        var lines = string.Join(newLine, Enumerable.Repeat(Repeat("aB3d+/Zk", 8), 12));
        var key = $"-----BEGIN {title}-----{newLine}{lines}{newLine}aB3d=={newLine}-----END {title}-----";
        Assert.Equal([key], Matching.Find("private_key", $"Here: {key}\nThanks"));
    }

    [Fact]
    public void Find_PrivateKeyWithHeaders_FindsWholeBlock()
    {
        const string Key = "-----BEGIN PGP PRIVATE KEY BLOCK-----\nVersion: GnuPG v2\nComment: none of it - really\n\nlQOYBFzzzzzzzzzzzzzzzzzzzzzzzzzz\nlQOY\n=njUN\n" +
            "-----END PGP PRIVATE KEY BLOCK-----";
        Assert.Equal([Key], Matching.Find("private_key", $"a {Key} b"));
    }

    [Fact]
    public void Find_PrivateKeyWithoutEnd_FindsItsLines()
    {
        var key = "-----BEGIN PRIVATE KEY-----\n" + Repeat("aB3d+/Zk", 8) + "\n" + Repeat("aB3d+/Zk", 8);
        Assert.Equal([key], Matching.Find("private_key", key + "\nAnd more words follow."));
    }

    [Theory]
    [InlineData("-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE\n-----END PUBLIC KEY-----")]
    [InlineData("-----BEGIN CERTIFICATE-----")]
    public void Find_NoPrivateKey_FindsNothing(string text) => Assert.Empty(Matching.Find("private_key", text));

    [Theory]
    [InlineData("q7Rk2Lp9XvT4mZw8Yb3N")]
    [InlineData("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY12")]
    [InlineData("Zq8+vL2/TnX4bR7sWc1YdK9mJh3Gf6Pe0AuQ5xEo==")]
    [InlineData("dGhpcyBpcyBhIHNlY3JldCB0b2tlbjE5")]
    public void Find_RandomToken_FindsIt(string token) => Assert.Equal([token], Matching.Find("high_entropy", $"token: {token}."));

    [Theory]
    [InlineData("a plain sentence with getElementsByClassNameAndReturn2Of3 in it")]
    [InlineData("550e8400-e29b-41d4-a716-446655440000")]
    [InlineData("da39a3ee5e6b4b0d3255bfef95601890afd80709")]
    [InlineData("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa1A")]
    [InlineData("/usr/local/share/Applications/Version2/Readme")]
    [InlineData("12345678901234567890123456789012")]
    public void Find_OrderedToken_FindsNothing(string text) => Assert.Empty(Matching.Find("high_entropy", text));

    private static string Repeat(string text, int count) => string.Concat(Enumerable.Repeat(text, count));
}
