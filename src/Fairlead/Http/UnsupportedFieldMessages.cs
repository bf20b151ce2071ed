namespace Fairlead.Http;

/// <summary>Why fields of the interface are refused that would have no effect: what is stored must act.</summary>
internal static class NotYet
{
    public const string Limits = "This version does not enforce limits; leave the field out.";
}

/// <summary>Characters that texts may have.</summary>
internal static class FieldLengths
{
    public const int Name = 200;
    public const int Id = 64;
}
