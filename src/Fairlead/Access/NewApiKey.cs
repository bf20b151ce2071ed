namespace Fairlead.Access;

/// <summary>A new key: the text is shown once and not stored.</summary>
internal readonly record struct NewApiKey(string Text, string PublicId, byte[] Hash)
{
    // A record prints its members; this one must not appear in a log.
    public override string ToString() => ApiKeyText.Prefix + PublicId;
}
