using Fairlead.Providers.Http;

namespace Fairlead.Tests.Providers.Http;

public class UpstreamTextTests
{
    [Theory]
    [InlineData("Unsupported value: 'temperature' does not support 0.7 with this model. Only the default (1) value is supported.")]
    [InlineData("Invalid type for 'messages[0].content': expected an array of objects or string, but got null instead.")]
    [InlineData("messages.1.content.0.text: Field required")]
    [InlineData("tools.0.custom.input_schema: JSON schema is invalid")]
    [InlineData("max_tokens is too large: 500000. This model supports at most 128000 completion tokens, whereas you provided 500000.")]
    [InlineData("Function name must match the pattern of letters, digits and dashes")]
    [InlineData("Invalid schema for response_format 'answer': In context=(), 'additionalProperties' is required to be supplied and to be false.")]
    [InlineData("The image is not a valid image/png or image/jpeg picture, e.g. it was cut.")]
    public void Clean_HarmlessMessage_PassesUnchanged(string text) => Assert.Equal(text, UpstreamText.Clean(text));

    [Theory]
    [InlineData("Incorrect API key provided: sk-proj-abcdEFGH1234. Find yours in the dashboard.")]
    [InlineData("bad value sk-abc")]
    [InlineData("token eyJhbGciOiJIUzI1NiJ9 rejected")]
    [InlineData("key AKIAIOSFODNN7EXAMPLE denied")]
    [InlineData("key AIzaSyD-1234567890 denied")]
    [InlineData("See https://internal.example/errors for help")]
    [InlineData("upstream gpu-17.rack4.prod refused the value")]
    [InlineData("upstream vllm.models.svc.cluster.local refused")]
    [InlineData("cannot reach 10.2.3.4")]
    [InlineData("cannot reach inference:8000")]
    [InlineData("cannot reach localhost")]
    [InlineData("cannot reach fe80:0:0:1::9")]
    [InlineData("write to ops@corp")]
    [InlineData("org-AbC123 has been disabled")]
    [InlineData("Your organization must be verified")]
    [InlineData("project proj_9fkd2 not found")]
    [InlineData("Your account 123456789012 is suspended")]
    [InlineData("number 123456789012 is suspended")]
    [InlineData("request 3f2504e0-4f89-11d3-9a0c-0305e82c3301 failed")]
    [InlineData("digest 9e107d9d372bb6826bd81d3542a419d6 differs")]
    [InlineData("blob dGhpcyBpcyBhIHNlY3JldCBvZiBvdXJz== bad")]
    [InlineData("cannot open /etc/secrets/provider")]
    [InlineData("cannot open ~/models/weights")]
    [InlineData(@"cannot open C:\models\weights")]
    [InlineData("error in src/serving/engine")]
    [InlineData("error in engine.py")]
    [InlineData("Traceback (most recent call last): in generate")]
    [InlineData("NullReference   at Serving.Engine.Run(Request r)")]
    [InlineData("<html><body>Bad gateway</body></html>")]
    [InlineData("password hunter2 is wrong")]
    [InlineData("Authorization header Bearer abc is wrong")]
    [InlineData("pod vllm-7f9c6d5b8-x2k4p evicted")]
    [InlineData("null byte \0 here")]
    [InlineData("hidden\u202Etext")]
    public void Clean_SuspiciousText_ReturnsNull(string text) =>
        Assert.Null(UpstreamText.Clean(text));

    [Fact]
    public void Clean_LongMessage_IsTruncatedAtWord()
    {
        var cleaned = UpstreamText.Clean(string.Concat(Enumerable.Repeat("very long words ", 40)));
        Assert.NotNull(cleaned);
        Assert.True(cleaned.Length <= UpstreamText.MaxLength + 1);
        Assert.EndsWith("…", cleaned, StringComparison.Ordinal);
    }

    [Fact]
    public void Clean_SecretAfterTruncationPoint_ReturnsNull() =>
        Assert.Null(UpstreamText.Clean(string.Concat(Enumerable.Repeat("very long words ", 40)) + "sk-proj-1234"));

    [Theory]
    [InlineData(null)]
    [InlineData("  ")]
    public void Clean_NullOrBlank_ReturnsNull(string? text) => Assert.Null(UpstreamText.Clean(text));

    [Fact]
    public void Clean_PageLengthText_ReturnsNull() => Assert.Null(UpstreamText.Clean(new string('a', 3) + string.Concat(Enumerable.Repeat(" word", 500))));

    [Theory]
    [InlineData("messages[0].content", "messages[0].content")]
    [InlineData("tools.0.function.parameters", "tools.0.function.parameters")]
    [InlineData("temperature", "temperature")]
    [InlineData("gateway.internal", null)]
    [InlineData("messages[0].content; drop", null)]
    [InlineData("", null)]
    [InlineData(null, null)]
    public void CleanParameter_NotAFieldPath_ReturnsNull(string? parameter, string? expected) => Assert.Equal(expected, UpstreamText.CleanParameter(parameter));
}
