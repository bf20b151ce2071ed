namespace Fairlead.Catalogue;

/// <summary>
/// The prices of a deployment over time. The entry in force when a call was accepted prices all of it, so an entry of the future takes effect
/// by itself and an entry of the past never changes a cost. Immutable and thread-safe.
/// </summary>
internal sealed class PriceList
{
    public static readonly PriceList Free = new(ModelPrices.Free);

    private readonly DatedPrices[] _entries;

    /// <summary>The same prices always.</summary>
    public PriceList(ModelPrices always) => _entries = [new DatedPrices(DateTimeOffset.MinValue, always)];

    /// <param name="entries">At least one, with ascending times.</param>
    public PriceList(IEnumerable<DatedPrices> entries)
    {
        _entries = [.. entries];
        if (_entries.Length == 0) throw new ArgumentException("A list of prices has at least one entry.", nameof(entries));
        for (var i = 1; i < _entries.Length; i++)
        {
            if (_entries[i].From <= _entries[i - 1].From) throw new ArgumentException("Prices are in the order of time.", nameof(entries));
        }
    }

    /// <summary>The entries in the order of time.</summary>
    public IReadOnlyList<DatedPrices> Entries => _entries;

    /// <summary>The prices of a call that was accepted at <paramref name="time"/>. Before the first entry, those of the first.</summary>
    public ModelPrices At(DateTimeOffset time)
    {
        // Lists have a few entries, and the last ones are the ones in use.
        for (var i = _entries.Length - 1; i > 0; i--)
        {
            if (_entries[i].From <= time) return _entries[i].Prices;
        }
        return _entries[0].Prices;
    }

    public static implicit operator PriceList(ModelPrices always) => new(always);
}

/// <summary>One entry of a list of prices.</summary>
/// <param name="From">From this moment on; the entry before it ends then.</param>
/// <param name="Prices">What is charged.</param>
internal readonly record struct DatedPrices(DateTimeOffset From, ModelPrices Prices);
