namespace Fairlead.Responses;

/// <summary>The number of open connections of each key on this node. Thread-safe.</summary>
internal sealed class OpenSockets
{
    private readonly Lock _gate = new();
    private readonly Dictionary<string, int> _byKey = new(StringComparer.Ordinal);

    /// <summary>Counts one more; false if the key has <paramref name="max"/> already.</summary>
    public bool TryEnter(string keyId, int max)
    {
        lock (_gate)
        {
            var open = _byKey.GetValueOrDefault(keyId);
            if (open >= max) return false;
            _byKey[keyId] = open + 1;
            return true;
        }
    }

    public void Leave(string keyId)
    {
        lock (_gate)
        {
            if (_byKey[keyId] == 1) _byKey.Remove(keyId);
            else _byKey[keyId]--;
        }
    }
}
