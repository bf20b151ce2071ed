using Fairlead.Telemetry;
using Microsoft.AspNetCore.Http;

namespace Fairlead.Tests.Telemetry;

public class IncomingTraceTests
{
    private const string Parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    [Fact]
    public void Of_ValidTraceContextWithoutSpan_IsForwardedUnchanged()
    {
        var trace = IncomingTrace.Of(new HeaderDictionary { ["traceparent"] = Parent, ["tracestate"] = "vendor=1" });
        Assert.Equal(new IncomingTrace(Parent, "vendor=1"), trace);
    }

    [Theory]
    [InlineData("")]
    [InlineData("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7")]
    [InlineData("00-4bf92f3577b34da6a3ce929d0e0e473ü-00f067aa0ba902b7-01")]
    [InlineData("00-00000000000000000000000000000000-00f067aa0ba902b7-01")]
    [InlineData("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\nX-Evil: 1")]
    public void Of_InvalidTraceparent_ReturnsNull(string parent) => Assert.Null(IncomingTrace.Of(new HeaderDictionary { ["traceparent"] = parent, ["tracestate"] = "vendor=1" }));

    [Fact]
    public void Of_TwoTraceparentHeaders_ReturnsNull() => Assert.Null(IncomingTrace.Of(new HeaderDictionary { ["traceparent"] = new([Parent, Parent]) }));

    [Theory]
    [InlineData("vendör=1")]
    [InlineData("vendor=1\n")]
    public void Of_TracestateWithInvalidCharacters_IsDropped(string state) =>
        Assert.Equal(new IncomingTrace(Parent, null), IncomingTrace.Of(new HeaderDictionary { ["traceparent"] = Parent, ["tracestate"] = state }));

    [Fact]
    public void Of_TracestateAboveLimit_IsDropped() =>
        Assert.Null(IncomingTrace.Of(new HeaderDictionary { ["traceparent"] = Parent, ["tracestate"] = "v=" + new string('1', 511) })!.State);

    [Fact]
    public void Of_ActiveSpan_ReturnsNull()
    {
        using var span = new System.Diagnostics.Activity("call").Start();
        Assert.Null(IncomingTrace.Of(new HeaderDictionary { ["traceparent"] = Parent }));
    }
}
