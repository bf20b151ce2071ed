using Fairlead.Http;
using Microsoft.AspNetCore.Http;

namespace Fairlead.Tests.Http;

public sealed class RequestIdsTests
{
    [Fact]
    public void Of_CalledAgain_ReturnsSameOwnId()
    {
        var context = new DefaultHttpContext();
        var id = RequestIds.Of(context, TimeProvider.System);
        Assert.Same(id, RequestIds.Of(context, TimeProvider.System));
        Assert.True(RequestIds.IsGenerated(context, RequestIds.Of(context, TimeProvider.System)));
    }

    /// <summary>
    /// An app around the gateway may set its own ids on responses, and these need not be unique. Generation ids must be unique.
    /// </summary>
    [Fact]
    public void Of_RequestIdHeaderSetByApp_IsNotOurs()
    {
        var context = new DefaultHttpContext();
        var ours = RequestIds.Of(context, TimeProvider.System);
        context.Response.Headers["x-request-id"] = new string(ours);
        Assert.Equal(ours, RequestIds.Of(context, TimeProvider.System));
        Assert.False(RequestIds.IsGenerated(context, RequestIds.Of(context, TimeProvider.System)));

        var before = new DefaultHttpContext();
        before.Response.Headers["x-request-id"] = "chosen by a client";
        Assert.False(RequestIds.IsGenerated(before, RequestIds.Of(before, TimeProvider.System)));
    }
}
