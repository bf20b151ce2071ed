using Fairlead.Catalogue;
using Fairlead.Pipeline;

namespace Fairlead.Limits;

/// <summary>
/// The limits of a call that has not reserved anything: it was refused before that, repeats another one, or only counts tokens. Thread-safe.
/// </summary>
internal sealed class UnreservedLimits(ILimitReader reader, GatewayCall call) : ICallLimits
{
    public LimitState[] Read()
    {
        var all = reader.OfCaller(call.Caller);
        if (all.Count == 0) return [];

        // A call that was refused early has no model yet.
        var model = ((CatalogueModel?)call.Model)?.Id;
        var mine = new List<LimitState>(all.Count);
        foreach (var state in all)
        {
            if (state.Model is { } limited && limited != model) continue;
            if (state.Class is { } ofClass && ofClass != call.Class) continue;
            mine.Add(state);
        }
        return [.. mine];
    }
}
