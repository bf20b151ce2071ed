using Fairlead.Access;
using Fairlead.Catalogue;
using Fairlead.Dialects.OpenAiChat;
using Fairlead.Limits;
using Fairlead.Tests.Dialects;

namespace Fairlead.Tests.Limits;

public sealed class UnreservedLimitsTests
{
    [Fact]
    public void Read_CallBeforeAndAfterItsModelIsKnown_HasTheLimitsThatApply()
    {
        var call = DialectCalls.Of(OpenAiChatDialect.Create(), "{}");
        var other = LimitSamples.TokensPerDay with { Model = "slow" };
        var limits = new UnreservedLimits(new Reader(LimitSamples.Requests, LimitSamples.TokensPerDay, other, LimitSamples.UsdPerMonth), call);

        Assert.Equal([LimitSamples.Requests, LimitSamples.TokensPerDay], limits.Read());
        call.Model = null!;
        Assert.Equal([LimitSamples.Requests], limits.Read());
        call.Class = "bulk";
        call.Model = new CatalogueModel { Id = "slow", OwnedBy = "test" };
        Assert.Equal([LimitSamples.Requests, other, LimitSamples.UsdPerMonth], limits.Read());
    }

    private sealed class Reader(params LimitState[] states) : ILimitReader
    {
        public IReadOnlyList<LimitState> OfCaller(Caller caller) => states;

        public Task<IReadOnlyList<LimitState>> OfCallerAsync(Caller caller, CancellationToken cancellationToken) => throw new NotSupportedException();

        public Task<IReadOnlyList<LimitState>?> OfAsync(LimitFilter filter, CancellationToken cancellationToken) => throw new NotSupportedException();
    }
}
