using Fairlead.Access;

namespace Fairlead.Limits;

/// <summary>For a server on which nothing is limited.</summary>
internal sealed class NoLimits : ILimitReader
{
    public IReadOnlyList<LimitState> OfCaller(Caller caller) => [];

    public Task<IReadOnlyList<LimitState>> OfAsync(LimitFilter filter, CancellationToken cancellationToken) =>
        Task.FromResult<IReadOnlyList<LimitState>>([]);
}
