using Fairlead.Idempotency;
using Microsoft.AspNetCore.Http;

namespace Fairlead.Tests.Idempotency;

public sealed class IdempotencyHeaderTests
{
    [Theory]
    [InlineData("abc", "abc")]
    [InlineData("\"abc\"", "abc")]
    [InlineData("\"two words\"", "two words")]
    [InlineData("\"a\\\"b\\\\c\"", "a\"b\\c")]
    [InlineData("\"abc\";v=1", "abc")]
    [InlineData("\"abc\" ", "abc")]
    [InlineData("a\"b", "a\"b")]
    [InlineData("", null)]
    [InlineData("\"\"", null)]
    [InlineData("\"", null)]
    [InlineData("\"abc", null)]
    [InlineData("\"abc\\", null)]
    [InlineData("\"a\\bc\"", null)]
    [InlineData("\"abc\"d", null)]
    [InlineData("\"abc\", \"def\"", null)]
    [InlineData("two words", null)]
    [InlineData("\"caf\u00e9\"", null)]
    [InlineData("caf\u00e9", null)]
    [InlineData("\"a\tb\"", null)]
    public void Read_QuotedOrUnquotedValue_ReturnsKey(string value, string? key) => Assert.Equal(key, IdempotencyHeader.Read(value));

    [Fact]
    public void Read_LengthLimit_AppliesToUnquotedKey()
    {
        var longest = new string('k', IdempotencyHeader.MaxLength);
        Assert.Equal(longest, IdempotencyHeader.Read(longest));
        Assert.Equal(longest, IdempotencyHeader.Read($"\"{longest}\""));
        Assert.Null(IdempotencyHeader.Read(longest + "k"));
        Assert.Null(IdempotencyHeader.Read($"\"{longest}k\""));
    }

    [Fact]
    public void Read_HeaderMissingOrRepeated_ReturnsNoKeyOrError()
    {
        var headers = new HeaderDictionary();
        Assert.Equal((null, null), IdempotencyHeader.Read(headers));
        headers["Idempotency-Key"] = new(["a", "b"]);
        var (key, error) = IdempotencyHeader.Read(headers);
        Assert.Null(key);
        Assert.Equal("Idempotency-Key", error!.Parameter);
    }
}
