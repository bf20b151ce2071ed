namespace Fairlead.Http;

/// <summary>Maximum lengths of text fields, in characters.</summary>
internal static class FieldLengths
{
    public const int Name = 200;
    public const int Id = 64;
}
